"""Identifiers that must be unique and unpredictable but are no secrets: of events, grants, tokens, sessions.

Random bytes are fetched from the system a page at a time: a system call for each would cost as much as the statement
that stores it. Secrets do not come from here: see `mint_secret`.
"""

import base64
import os
import threading

_PAGE_BYTES = 4096
_lock = threading.Lock()
_page = b""
_used = 0


def random_bytes(length: int) -> bytes:
    """`length` random bytes (at most 64) that nobody was given before."""
    global _page, _used
    with _lock:
        if _used + length > len(_page):
            _page, _used = os.urandom(_PAGE_BYTES), 0
        taken = _page[_used : _used + length]
        _used += length
    return taken


def new_grant_id() -> str:
    """The name of a grant: `g` and 96 random bits."""
    return "g" + random_bytes(12).hex()


def new_sub() -> str:
    """A subject: `u` and 26 base32 characters, 130 random bits; never derived from anything, never reused."""
    return "u" + base64.b32encode(random_bytes(17)).decode().lower()[:26]


def new_sid() -> str:
    """The identifier by which one client knows one session: random, so that clients cannot compare notes."""
    return base64.urlsafe_b64encode(random_bytes(16)).decode().rstrip("=")


def _forget_page() -> None:
    global _page, _used
    _page, _used = b"", 0


# A forked process would otherwise give out the same identifiers as its parent.
os.register_at_fork(after_in_child=_forget_page)
