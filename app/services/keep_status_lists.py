"""The life of the status lists: announced, open, closed, dropped. The rules, for `allocate_status` and housekeeping.

Indices come from the oldest list that is open. Its successor is published before it is needed, so that no verifier and
no other node meets a list that it has never heard of. A list closes when it is full or an hour old, and is served until
the last token that may be on it is past its `exp` everywhere.
"""

from collections.abc import Sequence
from typing import Final

from app.services.identifiers import random_bytes
from app.services.index_order import ENTRIES
from app.services.rotate_keys import LONGEST_TOKEN_LIFETIME_MS
from app.services.seals import Seals
from app.storage import status_lists
from app.storage.changes import bump
from app.storage.database import Connection
from app.storage.status_lists import StatusListRow

OPEN_FOR_MS: Final = 3_600_000
# For so long a process may go on with what it has leased, after the list has closed too.
BLOCK_LIFETIME_MS: Final = 600_000
LONGEST_BLOCK: Final = 4096
# 128 lists are 128 million tokens in two hours, and 16 MiB of memory in every process.
MAX_LISTS: Final = 128

# Before it is needed because the one before it is too old; one that fills up has its successor when half full.
_ANNOUNCED_BEFORE_MS: Final = 60_000
# Servers notice a new list within a second.
_KNOWN_AFTER_MS: Final = 2_000
_SKEW_MS: Final = 60_000
_DROPPED_ROWS: Final = 2000


class NoStatusList(Exception):
    """Our own fault, a 503: more tokens are alive than the lists that we keep have entries for."""


def choose_list(rows: Sequence[StatusListRow], *, now: int) -> StatusListRow | None:
    """The list to take counters from; None where all are full. Age alone never outruns the announcement."""
    usable = [row for row in rows if row.closed_at is None and not _is_full(row)]
    if not usable:
        return None
    current, *younger = usable
    is_replaced = _is_old(current, now=now) and younger and now >= younger[0].created_at + _KNOWN_AFTER_MS
    return younger[0] if is_replaced else current


def keep_status_lists(connection: Connection, seals: Seals, *, now: int) -> bool:
    """Announce, close and drop what is due; whether anything was.

    Any number of processes may come to it at once: they take turns, and the second finds nothing to do. Where there are
    as many lists as may be, none is announced until one of them has gone; what must leave leaves nevertheless.
    """
    if not _plan(status_lists.list_status_lists(connection), now=now):
        return False
    bump(connection, "status_lists")
    rows = status_lists.list_status_lists(connection)
    left = len(rows)
    for step, row in _plan(rows, now=now):
        if step == "drop" and row is not None:
            left -= status_lists.drop_status_list(connection, row.id, most_rows=_DROPPED_ROWS)
        elif step == "close" and row is not None:
            expires_at = now + BLOCK_LIFETIME_MS + LONGEST_TOKEN_LIFETIME_MS + _SKEW_MS
            status_lists.close_status_list(connection, row.id, now=now, expires_at=expires_at)
        elif left < MAX_LISTS:
            list_id = random_bytes(12).hex()
            status_lists.insert_status_list(connection, list_id=list_id, digest_key_id=seals.digest_key_id, now=now)
    return True


def _plan(rows: Sequence[StatusListRow], *, now: int) -> list[tuple[str, StatusListRow | None]]:
    steps: list[tuple[str, StatusListRow | None]] = [
        ("drop", row) for row in rows if row.expires_at is not None and now >= row.expires_at
    ]
    chosen = choose_list(rows, now=now)
    steps += [("close", row) for row in rows if row.closed_at is None and (chosen is None or row.id < chosen.id)]
    is_last = chosen is not None and not any(row.id > chosen.id for row in rows)
    leaving = sum(step == "drop" for step, _ in steps)
    if (chosen is None or (is_last and _needs_successor(chosen, now=now))) and len(rows) - leaving < MAX_LISTS:
        steps.append(("announce", None))
    return steps


def _is_full(row: StatusListRow) -> bool:
    return row.next_counter + LONGEST_BLOCK > ENTRIES


def _is_old(row: StatusListRow, *, now: int) -> bool:
    return now >= row.created_at + OPEN_FOR_MS


def _needs_successor(row: StatusListRow, *, now: int) -> bool:
    return row.next_counter * 2 >= ENTRIES or now >= row.created_at + OPEN_FOR_MS - _ANNOUNCED_BEFORE_MS
