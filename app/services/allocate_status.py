"""A place on a status list for every token: this process's share of them, leased a block at a time.

A block is a run of counters of the current list, taken in one short transaction and then given out from memory, so that
no issuance waits for another. Blocks are for people's tokens, each of which has a row that knows its place, or for the
machine tokens of one client, which have no row: ending the client ends the block, with whatever is minted from it.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from app.services.clock import Clock
from app.services.index_order import ENTRIES, IndexOrder
from app.services.keep_status_lists import (
    BLOCK_LIFETIME_MS,
    LONGEST_BLOCK,
    MAX_LISTS,
    NoStatusList,
    choose_list,
    keep_status_lists,
)
from app.services.seals import Seals
from app.specs.rfc8414_metadata import endpoint_url
from app.storage import status_lists
from app.storage.database import Connection, Database
from app.storage.status_lists import StatusListRow

PATH: Final = "/status-lists"

_SHORTEST_BLOCK: Final = 16
_MOST_OWNERS: Final = 10_000
_WAIT_S: Final = 3
_TRIES: Final = 3


class ClientHasEnded(Exception):
    """The client is disabled or removed, so nothing is minted for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """Where one token's bit is."""

    status_list_pk: int
    index: int
    uri: str


@dataclass(slots=True, kw_only=True)
class _Block:
    status_list_pk: int
    uri: str
    order: IndexOrder
    first: int
    length: int
    leased_at: int
    taken: int = 0

    def is_usable(self, now: int) -> bool:
        # Before `leased_at` the clock was set back; how long the list will be served is then not known.
        return self.taken < self.length and self.leased_at <= now < self.leased_at + BLOCK_LIFETIME_MS


class _Owner:
    """What a process has for one owner: nobody waits for a block of another's."""

    __slots__ = ("block", "lock", "next_length")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.block: _Block | None = None
        self.next_length = _SHORTEST_BLOCK


class StatusAllocator:
    """Gives out indices in one process. Safe for threads."""

    def __init__(self, database: Database, seals: Seals, clock: Clock, *, issuer: str) -> None:
        self._database = database
        self._seals = seals
        self._clock = clock
        self._issuer = issuer
        self._people = _Owner()
        self._clients: LRUCache[int, _Owner] = LRUCache(maxsize=_MOST_OWNERS)
        self._orders: LRUCache[int, IndexOrder] = LRUCache(maxsize=MAX_LISTS)
        self._lock = threading.Lock()

    def allocate(self, *, client_pk: int | None) -> TokenStatus:
        """A place that no other token has; `client_pk` None for a token that has a row of its own.

        Raises `ClientHasEnded`, `NoStatusList`, `DatabaseUnavailable`.
        """
        owner = self._people if client_pk is None else self._owner_of(client_pk)
        now = self._clock()
        # Whoever leases may wait for the database as long as anybody may; nobody waits for more than one of them.
        if not owner.lock.acquire(timeout=_WAIT_S):
            raise NoStatusList("another thread waits for a block")
        try:
            block = owner.block
            if block is None or not block.is_usable(now):
                # Whoever used one up in time takes twice as much; what is left of it when it is too old is lost.
                is_used_up = block is not None and block.taken >= block.length
                owner.next_length = min(owner.next_length * 2, LONGEST_BLOCK) if is_used_up else _SHORTEST_BLOCK
                block = owner.block = self._lease(owner.next_length, client_pk, now=now)
            counter = block.first + block.taken
            block.taken += 1
        finally:
            owner.lock.release()
        return TokenStatus(status_list_pk=block.status_list_pk, index=block.order.index_of(counter), uri=block.uri)

    def drop_revoked(self, blocks: Collection[tuple[int, int]]) -> None:
        """Give nothing more out of these, named by list and first counter: it would be born dead."""
        if not blocks:
            return
        with self._lock:
            for owner in self._clients.values():
                block = owner.block
                if block is not None and (block.status_list_pk, block.first) in blocks:
                    owner.block = None

    def order_of(self, row: StatusListRow) -> IndexOrder:
        """The order of a list's indices."""
        with self._lock:
            order = self._orders.get(row.id)
            if order is None:
                key = self._seals.derive_key(row.digest_key_id, f"status-list {row.list_id}")
                order = self._orders[row.id] = IndexOrder(key)
            return order

    def uri_of(self, list_id: str) -> str:
        """The list's address, which is its name."""
        return endpoint_url(self._issuer, f"{PATH}/{list_id}")

    def _owner_of(self, client_pk: int) -> _Owner:
        with self._lock:
            owner = self._clients.get(client_pk)
            if owner is None:
                owner = self._clients[client_pk] = _Owner()
            return owner

    def _lease(self, length: int, client_pk: int | None, *, now: int) -> _Block:
        with self._database.reading() as connection:
            rows = status_lists.list_status_lists(connection)
        if choose_list(rows, now=now) is None:
            # Nobody has announced one in time, because this is the first, or because nothing keeps house here.
            self._database.transact(lambda connection: keep_status_lists(connection, self._seals, now=now))

        def take(connection: Connection) -> tuple[StatusListRow, int]:
            if client_pk is not None and not status_lists.lock_living_client(connection, client_pk):
                raise ClientHasEnded
            # Others may fill or close the list between the look and the taking.
            for _ in range(_TRIES):
                chosen = choose_list(status_lists.list_status_lists(connection), now=now)
                if chosen is None:
                    break
                first = status_lists.take_counters(
                    connection, chosen.id, length=length, most=ENTRIES, client_pk=client_pk, now=now
                )
                if first is not None:
                    return chosen, first
            raise NoStatusList("the status lists are full")

        chosen, first = self._database.transact(take)
        return _Block(
            status_list_pk=chosen.id,
            uri=self.uri_of(chosen.list_id),
            order=self.order_of(chosen),
            first=first,
            length=length,
            leased_at=now,
        )
