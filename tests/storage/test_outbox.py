"""The outbox as a table: whose turn it is, who waits for whom, what dies and what leaves."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.outbox import Message, enqueue, open_body, pause_ms
from app.storage import outbox
from app.storage.database import Connection
from app.storage.outbox import OutboxRow
from app.storage.purge import purge_expired
from tests.databases import BACKENDS, fresh_database_url
from tests.deployments import Operator, make_deployment, make_environment

LEASE_MS = 60_000


@pytest.fixture(scope="module", params=BACKENDS)
def operator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    directory = tmp_path_factory.mktemp("outbox")
    with fresh_database_url(request.param, Path(directory)) as database_url:
        environment = make_environment(
            issuer="https://login.example.com", database_url=database_url, directory=Path(directory)
        )
        operator = Operator(make_deployment(environment))
        yield operator
        operator.close()


@pytest.fixture
def box(operator: Operator) -> "Box":
    return Box(operator)


class Box:
    """Messages of a kind of their own, so that tests share a database."""

    def __init__(self, operator: Operator) -> None:
        self.deployment = operator.deployment
        self.kind = f"test-{secrets.token_hex(4)}"
        self.now = self.deployment.clock()

    def put(self, *recipients: str) -> None:
        """One message each, one after the other."""
        for recipient in recipients:
            self.now += 1
            message = Message(kind=self.kind, recipient=f"{self.kind}-{recipient}", body={"to": recipient})
            self.deployment.database.transact(
                lambda connection, message=message: enqueue(self.deployment, connection, [message], now=self.now)
            )

    def claim(self, *, most: int = 100, later_ms: int = 1) -> list[OutboxRow]:
        self.now += later_ms

        def work(connection: Connection) -> list[OutboxRow]:
            claimed = outbox.claim_messages(
                connection, kinds=[self.kind], most=most, now=self.now, claimed_until=self.now + LEASE_MS
            )
            return sorted(claimed, key=lambda row: row.message_id)

        return self.deployment.database.transact(work)

    def fail(self, row: OutboxRow, *, pause: int) -> None:
        self.deployment.database.transact(
            lambda connection: outbox.postpone(connection, row, error="no answer", next_attempt_at=self.now + pause)
        )

    def deliver(self, row: OutboxRow) -> None:
        def work(connection: Connection) -> None:
            outbox.delete_messages(connection, [row.message_id])
            outbox.release_recipients(connection, [row.recipient], now=self.now)

        self.deployment.database.transact(work)

    def to(self, rows: list[OutboxRow]) -> list[str]:
        return [open_body(self.deployment.seals, row)["to"] for row in rows]


def test_a_recipient_gets_one_message_at_a_time_and_the_oldest_first(box: Box) -> None:
    box.put("a", "b", "a", "a")
    first = box.claim()
    assert box.to(first) == ["a", "b"]
    assert box.claim() == []
    box.deliver(first[0])
    (second,) = box.claim()
    assert box.to([second]) == ["a"]
    assert second.message_id > first[0].message_id


def test_a_claim_ends_by_itself(box: Box) -> None:
    box.put("a")
    (claimed,) = box.claim()
    assert box.claim(later_ms=LEASE_MS - 2) == []
    (again,) = box.claim(later_ms=2)
    assert again.message_id == claimed.message_id


def test_what_fails_lets_all_of_its_recipient_wait_and_nobody_else(box: Box) -> None:
    box.put("dead", "dead", "living")
    dead, living = box.claim()
    box.fail(dead, pause=5_000)
    box.deliver(living)
    box.put("living")
    (next_one,) = box.claim()
    assert box.to([next_one]) == ["living"]
    # One of them finds out whether the recipient lives again, and frees the others.
    (probe,) = box.claim(later_ms=5_000)
    assert (probe.message_id, probe.attempts, probe.last_error) == (dead.message_id, 1, "no answer")
    box.deliver(probe)
    (freed,) = box.claim()
    assert box.to([freed]) == ["dead"]


def test_whom_nobody_has_tried_comes_before_whoever_failed(box: Box) -> None:
    box.put("dead")
    (dead,) = box.claim()
    box.fail(dead, pause=10)
    box.put("fresh", "fresh-too")
    assert box.to(box.claim(most=2, later_ms=20)) == ["fresh", "fresh-too"]
    assert box.to(box.claim()) == ["dead"]


def test_what_is_past_its_time_dies_and_leaves_after_a_while_but_never_before(box: Box) -> None:
    box.put("a", "b")
    held, _ = box.claim()
    box.put("c")
    after = box.now + box.deployment.settings.outbox_deadline_s * 1000 + 1

    def bury(connection: Connection) -> list[str]:
        buried = outbox.bury_expired(connection, now=after, most=1000)
        return box.to([row for row in buried if row.kind == box.kind])

    assert sorted(box.deployment.database.transact(bury)) == ["a", "b", "c"]
    box.now = after
    assert box.claim() == []

    def purge(dead_before: int) -> bool:
        box.deployment.database.transact(
            lambda connection: purge_expired(
                connection, now=0, audit_before=0, retries_end_before=0, outbox_dead_before=dead_before
            )
        )
        with box.deployment.database.reading() as connection:
            return outbox.find_message(connection, held.message_id) is not None

    assert purge(after - 1)
    assert not purge(after)


def test_a_message_opens_at_its_own_place_only(box: Box) -> None:
    box.put("a", "b")
    first, second = box.claim()
    assert b'"to"' not in first.sealed_body
    moved = OutboxRow(
        **{name: getattr(second, name) for name in OutboxRow.__slots__ if name != "sealed_body"},
        sealed_body=first.sealed_body,
    )
    with pytest.raises(Exception, match="does not open"):
        open_body(box.deployment.seals, moved)


def test_pauses_double_up_to_an_hour_and_never_come_at_the_same_moment() -> None:
    for attempts, expected in ((1, 5_000), (2, 10_000), (5, 80_000), (11, 3_600_000), (40, 3_600_000)):
        pauses = [pause_ms(attempts) for _ in range(20)]
        assert all(0.8 * expected <= pause <= 1.2 * expected for pause in pauses)
        assert len(set(pauses)) > 1
