"""The status lists as verifiers get them: built from what was revoked, signed, and served from memory.

What was revoked since the last look is read, and nothing twice: each revocation carries the number of the change that
announced it. A list says `iat` for the moment of that look and not of its signature, so that a server which is cut off
from the database cannot vouch for what it does not know; the last list is then served until its `exp`.
"""

import hashlib
import threading
from collections.abc import Sequence
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
_RENEWED_AFTER_MS: Final = 240_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """A list as it is served. Times in milliseconds."""

    token: bytes = field(repr=False)
    etag: str
    kid: str
    as_of: int
    expires_at: int


class _PublishedList:
    """One list: its bits, and the last signature; `is_changed` since that."""

    __slots__ = ("bits", "is_changed", "row", "signed")

    def __init__(self, row: StatusListRow) -> None:
        self.row = row
        self.bits = bytearray(ENTRIES // 8)
        self.signed: SignedList | None = None
        self.is_changed = False

    def set_bit(self, index: int) -> None:
        self.bits[index >> 3] |= 1 << (index & 7)


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
        """Take over what changed up to `version`, which was read from the database at the time `as_of` or later."""
        if not self.is_wanted:
            return
        with self._lock:
            if version < self._seen_version:
                # The database was restored from a copy.
                self._lists, self._seen_version = {}, -1
            if version != self._seen_version:
                self._read(version)
            self._as_of = as_of

    def knows(self, list_id: str) -> bool:
        """Whether there is such a list, as of the last look."""
        return list_id in self._lists

    def get(self, list_id: str, key: PrivateKey | None, *, now: int, may_renew: bool) -> SignedList | None:
        """The list, signed anew where it has changed, is well into its life, or was signed by another key.

        None where there is no such list, or where its signature has expired. `may_renew` says that the last look at the
        database succeeded: a list is not renewed for its age alone while nobody knows what has been revoked. Without a
        `key` it is served as it is.
        """
        with self._lock:
            published = self._lists.get(list_id)
            if published is None or self._as_of is None:
                return None
            if key is not None and _must_be_signed(published, key, now=now, may_renew=may_renew):
                published.signed = self._sign(published, key, as_of=self._as_of)
                published.is_changed = False
            signed = published.signed
            return signed if signed is not None and now < signed.expires_at else None

    def sign_due(self, key: PrivateKey, *, now: int) -> None:
        """Sign every list that is due, so that no request has to wait for it."""
        for list_id in self._lists:
            self.get(list_id, key, now=now, may_renew=True)

    def _read(self, version: int) -> None:
        with self._database.reading() as connection:
            rows = status_lists.list_status_lists(connection)
            revoked = status_lists.read_revoked(connection, after_version=self._seen_version)
        # A new dictionary: others read the old one without the lock.
        lists = {row.list_id: self._lists.get(row.list_id) or _PublishedList(row) for row in rows}
        _apply(revoked, {published.row.id: published for published in lists.values()}, self._allocator)
        self._lists = lists
        self._seen_version = version
        self.uris = tuple(self._allocator.uri_of(row.list_id) for row in rows)
        self._allocator.drop_revoked({(block.status_list_pk, block.first_counter) for block in revoked.blocks})

    def _sign(self, published: _PublishedList, key: PrivateKey, *, as_of: int) -> SignedList:
        claims = build_status_list_claims(
            uri=self._allocator.uri_of(published.row.list_id),
            issued_at_s=as_of // 1000,
            expires_at_s=as_of // 1000 + LIFETIME_S,
            ttl_s=TTL_S,
            statuses=bytes(published.bits),
        )
        token = sign_jws({"typ": TYP}, orjson.dumps(claims), key, SIGNING_ALG).encode()
        return SignedList(
            token=token,
            etag=f'"{hashlib.sha256(token).hexdigest()[:32]}"',
            kid=key.kid,
            as_of=as_of,
            expires_at=(as_of // 1000 + LIFETIME_S) * 1000,
        )


def _must_be_signed(published: _PublishedList, key: PrivateKey, *, now: int, may_renew: bool) -> bool:
    signed = published.signed
    if signed is None or published.is_changed or signed.kid != key.kid:
        return True
    # One of the future was signed before somebody set the clock back.
    return may_renew and not signed.as_of <= now < signed.as_of + _RENEWED_AFTER_MS


def _apply(revoked: RevokedTokens, lists: dict[int, _PublishedList], allocator: StatusAllocator) -> None:
    """Set the bits. What belongs to a list that has been dropped, or is too new for this look, is passed over."""
    for pk, index in revoked.bits:
        published = lists.get(pk)
        if published is not None:
            published.set_bit(index)
            published.is_changed = True
    for block in revoked.blocks:
        published = lists.get(block.status_list_pk)
        if published is not None:
            _set_block(published, allocator, range(block.first_counter, block.first_counter + block.length))


def _set_block(published: _PublishedList, allocator: StatusAllocator, counters: Sequence[int]) -> None:
    order = allocator.order_of(published.row)
    for counter in counters:
        published.set_bit(order.index_of(counter))
    published.is_changed = True
