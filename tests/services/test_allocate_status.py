"""Places on status lists: each given once, by whatever process and thread; none that is dead before it is used."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.services.allocate_status import ClientHasEnded, StatusAllocator, TokenStatus
from app.services.index_order import ENTRIES, IndexOrder
from app.services.keep_status_lists import (
    LONGEST_BLOCK,
    MAX_LISTS,
    NoStatusList,
    choose_list,
    keep_status_lists,
)
from app.services.manage_clients import disable_client, enable_client
from app.services.publish_status_lists import StatusListPublisher
from app.services.seals import SealError
from app.storage.changes import read_versions
from app.storage.database import Connection
from app.storage.leases import take_lease
from app.storage.status_lists import StatusListRow, list_status_lists
from app.storage.tables import status_blocks, status_lists
from tests.clock import MovableClock
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock(tmp_path / "clock")


@pytest.fixture(params=BACKENDS)
def operator(request: pytest.FixtureRequest, tmp_path: Path, clock: MovableClock) -> Iterator[Operator]:
    with migrated_database_url(request.param, tmp_path) as database_url:
        environment = make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)
        operator = Operator(make_deployment(environment), clock=clock)
        yield operator
        operator.close()


def process(operator: Operator) -> StatusAllocator:
    """What another process would have: nothing in memory."""
    deployment = operator.deployment
    return StatusAllocator(deployment.database, deployment.seals, deployment.clock, issuer=deployment.issuer)


def client_pk(operator: Operator) -> tuple[str, int]:
    client_id = operator.add_client().client_id
    client = operator.deployment.registry.find_client(client_id)
    assert client is not None
    return client_id, client.pk


def lists(operator: Operator) -> tuple[StatusListRow, ...]:
    with operator.deployment.database.reading() as connection:
        return list_status_lists(connection)


def keep(operator: Operator) -> bool:
    deployment = operator.deployment
    now = deployment.clock()
    return deployment.database.transact(lambda connection: keep_status_lists(connection, deployment.seals, now=now))


def set_all(operator: Operator, **values: int) -> None:
    operator.deployment.database.transact(lambda connection: connection.execute(update(status_lists).values(values)))


# ----- Given once -----


def test_the_order_of_a_list_is_a_permutation_of_its_places_and_its_key_decides_it() -> None:
    order = IndexOrder(b"k" * 32)
    assert set(map(order.index_of, range(ENTRIES))) == set(range(ENTRIES))
    first = [order.index_of(counter) for counter in range(100)]
    assert [order.counter_of(index) for index in first] == list(range(100))
    assert order.counter_of(order.index_of(ENTRIES - 1)) == ENTRIES - 1
    assert first == [IndexOrder(b"k" * 32).index_of(counter) for counter in range(100)]
    other = [IndexOrder(b"l" * 32).index_of(counter) for counter in range(100)]
    assert sum(one == another for one, another in zip(first, other, strict=True)) < 3
    assert first != sorted(first)


def test_processes_and_threads_that_allocate_at_once_never_share_a_place(operator: Operator) -> None:
    processes = [process(operator) for _ in range(3)]
    pks = [None, client_pk(operator)[1], client_pk(operator)[1]]
    together = threading.Barrier(6)

    def allocate(number: int) -> list[TokenStatus]:
        together.wait()
        return [processes[number % 3].allocate(client_pk=pks[each % 3]) for each in range(300)]

    with ThreadPoolExecutor(6) as pool:
        places = [place for part in pool.map(allocate, range(6)) for place in part]
    assert len({(place.status_list_pk, place.index) for place in places}) == 6 * 300
    assert len({place.uri for place in places}) == 1


def test_a_process_that_dies_loses_the_rest_of_its_block_and_nobody_else_gets_it(operator: Operator) -> None:
    taken = set()
    for _ in range(5):
        allocator = process(operator)
        taken |= {allocator.allocate(client_pk=None).index for _ in range(3)}
    assert len(taken) == 15
    (row,) = lists(operator)
    assert 15 <= row.next_counter <= 5 * LONGEST_BLOCK


def test_what_is_used_up_quickly_comes_in_larger_blocks(operator: Operator) -> None:
    allocator = process(operator)
    for _ in range(20_000):
        allocator.allocate(client_pk=None)
    with operator.deployment.database.reading() as connection:
        lengths = [row[0] for row in connection.execute(select(status_blocks.c.length).order_by("first_counter"))]
    assert lengths == sorted(lengths)
    assert max(lengths) == LONGEST_BLOCK
    # One short transaction for thousands of tokens.
    assert len(lengths) < 14


def test_a_block_is_not_used_past_its_time_so_that_its_list_can_be_dropped(
    operator: Operator, clock: MovableClock
) -> None:
    allocator = process(operator)
    allocator.allocate(client_pk=None)
    clock.move(seconds=601)
    allocator.allocate(client_pk=None)
    with operator.deployment.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(status_blocks)).scalar_one() == 2


# ----- Born dead -----


def test_nothing_is_given_to_a_client_that_has_ended_and_its_old_block_stays_ended(operator: Operator) -> None:
    client_id, pk = client_pk(operator)
    allocator, racing = process(operator), process(operator)
    publisher = StatusListPublisher(operator.deployment.database, racing)
    publisher.is_wanted = True
    racing.allocate(client_pk=pk)
    disable_client(operator.deployment, client_id)
    with pytest.raises(ClientHasEnded):
        allocator.allocate(client_pk=pk)
    # Another process still has a block: what it gives out is on the list of the revoked already.
    born_dead = racing.allocate(client_pk=pk)
    catch_up(operator, publisher)
    assert is_set(publisher, born_dead)
    # Having read that, it gives out no more of them.
    with pytest.raises(ClientHasEnded):
        racing.allocate(client_pk=pk)
    enable_client(operator.deployment, client_id)
    reborn = racing.allocate(client_pk=pk)
    catch_up(operator, publisher)
    assert not is_set(publisher, reborn)
    assert is_set(publisher, born_dead)


def catch_up(operator: Operator, publisher: StatusListPublisher) -> None:
    with operator.deployment.database.reading() as connection:
        version = read_versions(connection)["status_lists"]
    publisher.catch_up(version, as_of=operator.deployment.clock())


def is_set(publisher: StatusListPublisher, place: TokenStatus) -> bool:
    bits = publisher._lists[place.uri.rpartition("/")[2]].bits
    return bool(bits[place.index >> 3] >> (place.index & 7) & 1)


# ----- The life of a list -----


def test_a_list_that_fills_up_has_its_successor_announced_and_is_left_with_room_for_who_is_late(
    operator: Operator, clock: MovableClock
) -> None:
    first = process(operator).allocate(client_pk=None)
    set_all(operator, next_counter=ENTRIES // 2)
    assert keep(operator)
    assert not keep(operator)
    assert len(lists(operator)) == 2
    assert process(operator).allocate(client_pk=None).status_list_pk == first.status_list_pk
    (full, successor) = lists(operator)
    operator.deployment.database.transact(
        lambda connection: connection.execute(
            update(status_lists).where(status_lists.c.id == full.id).values(next_counter=ENTRIES - LONGEST_BLOCK + 1)
        )
    )
    assert process(operator).allocate(client_pk=None).status_list_pk == successor.id
    assert keep(operator)
    closed, still_open = lists(operator)
    assert (closed.closed_at is not None, still_open.closed_at) == (True, None)
    assert closed.expires_at is not None
    assert closed.expires_at >= clock() + 3_600_000


def test_there_is_no_place_where_the_lists_are_as_many_as_may_be_until_they_leave(
    operator: Operator, clock: MovableClock
) -> None:
    process(operator).allocate(client_pk=None)
    now = operator.deployment.clock()
    full = [
        {"list_id": f"{n:x}", "digest_key_id": "k", "next_counter": ENTRIES, "created_at": now}
        for n in range(MAX_LISTS)
    ]
    operator.deployment.database.transact(lambda connection: connection.execute(status_lists.insert(), full))
    set_all(operator, next_counter=ENTRIES)
    with pytest.raises(NoStatusList):
        process(operator).allocate(client_pk=None)
    # Once the tokens on them have expired they leave, and there are places again.
    assert {row.closed_at is None for row in lists(operator)} == {False}
    clock.move(seconds=(max(row.expires_at or 0 for row in lists(operator)) - clock()) / 1000 + 1)
    process(operator).allocate(client_pk=None)
    assert len(lists(operator)) == 1


def test_a_list_is_only_old_once_its_successor_is_known_everywhere() -> None:
    old = StatusListRow(
        id=1, list_id="a", digest_key_id="k", next_counter=5, created_at=0, closed_at=None, expires_at=None
    )
    young = dataclasses.replace(old, id=2, list_id="b", created_at=3_600_000)
    assert choose_list([old], now=9_999_999) is old
    assert choose_list([old, young], now=3_600_000) is old
    assert choose_list([old, young], now=3_602_000) is young
    assert choose_list([dataclasses.replace(old, next_counter=ENTRIES), young], now=3_600_000) is young
    assert choose_list([], now=0) is None


def test_the_order_of_a_list_hangs_on_a_key_that_the_database_holds_sealed_only(operator: Operator) -> None:
    process(operator).allocate(client_pk=None)
    (row,) = lists(operator)
    assert row.digest_key_id == operator.deployment.seals.digest_key_id
    with pytest.raises(SealError):
        process(operator).order_of(dataclasses.replace(row, digest_key_id="another"))


def test_one_process_at_a_time_keeps_house(operator: Operator) -> None:
    def take(holder: str, now: int) -> bool:
        def work(connection: Connection) -> bool:
            return take_lease(connection, "work", holder=holder, now=now, expires_at=now + 10)

        return operator.deployment.database.transact(work)

    assert [take("a", 100), take("b", 105), take("a", 109), take("b", 118)] == [True, False, True, False]
    assert [take("b", 119), take("a", 120)] == [True, False]
    # Its holder's clock was ahead: nobody waits for that.
    assert take("a", 50)
