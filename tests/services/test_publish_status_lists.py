"""What a process says of revocations: no more than it knows, and the same as others that know as much."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.allocate_status import TokenStatus
from app.services.manage_clients import disable_client
from app.services.publish_status_lists import LIFETIME_S, RENEWED_EVERY_S, SignedList, StatusListPublisher
from app.specs.rfc7517_jwk import PrivateKey
from app.specs.token_status_list import check_status_list_claims
from app.storage.changes import read_versions
from tests.actors.relying_party import read_jwt
from tests.databases import BACKENDS, migrated_database_url
from tests.deployments import Operator, make_deployment, make_environment

NOW = 1_800_000_000_000
WINDOW_MS = RENEWED_EVERY_S * 1000


@pytest.fixture(params=BACKENDS)
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operator]:
    """An operator whose clock stands at the beginning of a window."""
    with migrated_database_url(request.param, tmp_path) as database_url:
        environment = make_environment(issuer="http://localhost:8400", database_url=database_url, directory=tmp_path)
        operator = Operator(make_deployment(environment, clock=lambda: NOW), clock=lambda: NOW)
        yield operator
        operator.close()


def publisher_of(operator: Operator) -> StatusListPublisher:
    publisher = StatusListPublisher(operator.deployment.database, operator.deployment.status_allocator)
    publisher.is_wanted = True
    return publisher


def look(operator: Operator, publisher: StatusListPublisher, *, at: int) -> None:
    with operator.deployment.database.reading() as connection:
        version = read_versions(connection)["status_lists"]
    publisher.catch_up(version, as_of=at)


def key_of(operator: Operator) -> PrivateKey:
    return operator.deployment.keys.get_active("ES256").key


def get(operator: Operator, publisher: StatusListPublisher, place: TokenStatus, *, now: int) -> SignedList | None:
    return publisher.get(place.uri.rpartition("/")[2], key_of(operator), now=now)


def of_machine(operator: Operator) -> tuple[str, TokenStatus]:
    client_id = operator.add_client().client_id
    client = operator.deployment.registry.find_client(client_id)
    assert client is not None
    return client_id, operator.deployment.status_allocator.allocate(client_pk=client.pk)


def test_who_is_cut_off_from_the_database_lets_the_list_run_out(operator: Operator) -> None:
    assert NOW % WINDOW_MS == 0
    _, place = of_machine(operator)
    publisher = publisher_of(operator)
    look(operator, publisher, at=NOW)
    first = get(operator, publisher, place, now=NOW)
    assert first is not None
    # No look succeeds any more: the same signature is served, and never another.
    last_moment = NOW + LIFETIME_S * 1000 - 1
    assert get(operator, publisher, place, now=last_moment) is first
    assert get(operator, publisher, place, now=last_moment + 1) is None
    assert publisher.knows(place.uri.rpartition("/")[2])
    look(operator, publisher, at=last_moment + 1)
    again = get(operator, publisher, place, now=last_moment + 1)
    assert again is not None
    assert again.issued_at_s > first.issued_at_s


def test_processes_that_looked_at_other_moments_say_the_same_and_a_change_makes_it_newer(operator: Operator) -> None:
    client_id, place = of_machine(operator)
    early, late = publisher_of(operator), publisher_of(operator)
    look(operator, early, at=NOW)
    look(operator, late, at=NOW + WINDOW_MS - 1)
    one, other = (get(operator, each, place, now=NOW + WINDOW_MS) for each in (early, late))
    assert one is not None
    assert other is not None
    assert (one.etag, one.issued_at_s) == (other.etag, other.issued_at_s)
    disable_client(operator.deployment, client_id)
    look(operator, early, at=NOW + 2000)
    changed = get(operator, early, place, now=NOW + 2000)
    assert changed is not None
    assert changed.etag != one.etag
    assert changed.issued_at_s >= one.issued_at_s
    claims = read_jwt(changed.token.decode())
    assert check_status_list_claims(claims, uri=place.uri, now_s=NOW / 1000 + 2).is_set(place.index)


def test_a_database_that_was_restored_from_a_copy_is_read_anew(operator: Operator) -> None:
    client_id, place = of_machine(operator)
    publisher = publisher_of(operator)
    publisher.catch_up(1_000_000, as_of=NOW)
    disable_client(operator.deployment, client_id)
    look(operator, publisher, at=NOW)
    signed = get(operator, publisher, place, now=NOW)
    assert signed is not None
    claims = read_jwt(signed.token.decode())
    assert check_status_list_claims(claims, uri=place.uri, now_s=NOW / 1000).is_set(place.index)
