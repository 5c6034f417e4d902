"""The status lists as verifiers get them: built from what was revoked, signed, and served from memory.

What was revoked since the last look is read, and nothing twice: each revocation carries the number of the change that
announced it. A list's `iat` is the moment of its last revocation or the beginning of the current four minutes, the
later of the two. So every process that knows the same says the same, and a verifier that asks one process and then
another gets no list that is older than what it has. The time comes from the last look at the database: who is cut off
from it cannot vouch for what it does not know, and serves the last list until its `exp`.
"""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Final

import orjson

from app.services.allocate_status import StatusAllocator
from app.services.index_order import ENTRIES
from app.specs.rfc7515_jose import sign_jws
from app.specs.rfc7517_jwk import PrivateKey
from app.specs.token_status_list import TYP, build_status_list_claims
from app.storage import status_lists
from app.storage.database import Database
from app.storage.status_lists import RevokedTokens, StatusListRow

SIGNING_ALG: Final = "ES256"
TTL_S: Final = 5
LIFETIME_S: Final = 600
# Less than half of its life.
RENEWED_EVERY_S: Final = 240
# What /readyz lets pass between the clocks of node and database.
NODES_MAY_DIFFER_BY_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """A list as it is served. `etag` is that of what it says: the same from every process."""

    token: bytes = field(repr=False)
    etag: str
    kid: str
    issued_at_s: int

    @property
    def expires_at_s(self) -> int:
        """From when on nobody believes it."""
        return self.issued_at_s + LIFETIME_S


class _PublishedList:
    """One list: its bits, when the last of them was set (milliseconds), and the last signature over them."""

    __slots__ = ("bits", "changed_at", "is_changed", "row", "signed")

    def __init__(self, row: StatusListRow) -> None:
        self.row = row
        self.bits = bytearray(ENTRIES // 8)
        self.changed_at = 0
        self.is_changed = False
        self.signed: SignedList | None = None

    def set_bit(self, index: int, *, at: int) -> None:
        self.bits[index >> 3] |= 1 << (index & 7)
        self.changed_at = max(self.changed_at, at)
        self.is_changed = True

    def issued_at_s(self, *, as_of: int) -> int:
        as_of_s, changed_at_s = as_of // 1000, self.changed_at // 1000
        began_s = as_of_s - as_of_s % RENEWED_EVERY_S
        # Another node's clock may be ahead by as much as /readyz lets pass, and a list must never become older than it
        # was. Further in the future it was set before somebody set the clock back, and says nothing about now.
        return max(began_s, changed_at_s) if changed_at_s <= as_of_s + NODES_MAY_DIFFER_BY_S else began_s


class StatusListPublisher:
    """The lists of one process. Safe for threads. Reads nothing until somebody asks for a list for the first time."""

    def __init__(self, database: Database, allocator: StatusAllocator) -> None:
        self._database = database
        self._allocator = allocator
        self._lists: dict[str, _PublishedList] = {}
        self._lock = threading.Lock()
        self._seen_version = -1
        self._as_of: int | None = None
        self.is_wanted = False
        self.uris: tuple[str, ...] = ()

    def catch_up(self, version: int, *, as_of: int) -> None:
        """Take over what changed up to `version`, which was read from the database at the time `as_of` or later.

        One thread at a time. Raises `DatabaseUnavailable`.
        """
        if not self.is_wanted:
            return
        if version < self._seen_version:
            # The database was restored from a copy.
            self._lists, self._seen_version = {}, -1
        if version != self._seen_version:
            self._read(version)
        self._as_of = as_of

    def knows(self, list_id: str) -> bool:
        """Whether there is such a list, as of the last look."""
        return list_id in self._lists

    def get(self, list_id: str, key: PrivateKey | None, *, now: int) -> SignedList | None:
        """The list, signed anew where it has changed, is well into its life, or was signed by another key.

        None where there is no such list, or where its signature has expired. Without a `key` it is served as it is.
        """
        as_of = self._as_of
        published = self._lists.get(list_id)
        if published is None or as_of is None:
            return None
        with self._lock:
            if key is not None and _must_be_signed(published, key, as_of=as_of):
                published.signed = self._sign(published, key, as_of=as_of)
                published.is_changed = False
            signed = published.signed
        return signed if signed is not None and now < signed.expires_at_s * 1000 else None

    def sign_due(self, key: PrivateKey, *, now: int) -> None:
        """Sign every list that is due, so that no request has to wait for it."""
        for list_id in self._lists:
            self.get(list_id, key, now=now)

    def _read(self, version: int) -> None:
        with self._database.reading() as connection:
            rows = status_lists.list_status_lists(connection)
            revoked = status_lists.read_revoked(connection, after_version=self._seen_version)
        # A new dictionary: others read the old one without the lock.
        lists = {row.list_id: self._lists.get(row.list_id) or _PublishedList(row) for row in rows}
        with self._lock:
            _apply(revoked, {published.row.id: published for published in lists.values()}, self._allocator)
        self._lists = lists
        self._seen_version = version
        self.uris = tuple(self._allocator.uri_of(row.list_id) for row in rows)
        self._allocator.drop_revoked({(block.status_list_pk, block.first_counter) for block in revoked.blocks})

    def _sign(self, published: _PublishedList, key: PrivateKey, *, as_of: int) -> SignedList:
        issued_at_s = published.issued_at_s(as_of=as_of)
        claims = orjson.dumps(
            build_status_list_claims(
                uri=self._allocator.uri_of(published.row.list_id),
                issued_at_s=issued_at_s,
                expires_at_s=issued_at_s + LIFETIME_S,
                ttl_s=TTL_S,
                statuses=bytes(published.bits),
            )
        )
        return SignedList(
            token=sign_jws({"typ": TYP}, claims, key, SIGNING_ALG).encode(),
            etag=f'"{hashlib.sha256(key.kid.encode() + claims).hexdigest()[:32]}"',
            kid=key.kid,
            issued_at_s=issued_at_s,
        )


def _must_be_signed(published: _PublishedList, key: PrivateKey, *, as_of: int) -> bool:
    signed = published.signed
    if signed is None or published.is_changed or signed.kid != key.kid:
        return True
    return signed.issued_at_s != published.issued_at_s(as_of=as_of)


def _apply(revoked: RevokedTokens, lists: dict[int, _PublishedList], allocator: StatusAllocator) -> None:
    """Set the bits. What belongs to a list that has been dropped, or is too new for this look, is passed over."""
    for pk, index, at in revoked.bits:
        published = lists.get(pk)
        if published is not None:
            published.set_bit(index, at=at)
    for block in revoked.blocks:
        published = lists.get(block.status_list_pk)
        if published is not None:
            order = allocator.order_of(published.row)
            for counter in range(block.first_counter, block.first_counter + block.length):
                published.set_bit(order.index_of(counter), at=block.revoked_at)
