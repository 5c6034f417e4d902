"""attacks.md 16, 101: what clients that are documents may cost, on servers that limit; and switched off."""

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.actors.document_host import DocumentHost
from tests.actors.http import Reply, send
from tests.actors.relying_party import read_tokens
from tests.attacks.test_client_documents import a_path, party_of
from tests.conftest import run_world
from tests.patience import wait_until
from tests.services.other_host import CertificateAuthority
from tests.world import World

DAY_S = 86_400
MALLORY, ALICE = "203.0.113.66", "198.51.100.1"


@pytest.fixture(scope="module")
def document_tls(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.serve("127.0.0.1")


@pytest.fixture
def host(document_tls: ssl.SSLContext) -> Iterator[DocumentHost]:
    with DocumentHost(document_tls) as running:
        yield running


def a_world(directory: Path, authority: CertificateAuthority, **settings: str) -> Iterator[World]:
    yield from run_world(
        directory,
        f"sqlite:///{directory}/tokenhouse.db",
        outbound_allowed_networks="127.0.0.1/32",
        outbound_ca_bundle=str(authority.bundle),
        **settings,
    )


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[World]:
    """A server with the limits that it has by default, behind a proxy: so one machine can be several peers."""
    yield from a_world(tmp_path_factory.mktemp("limited"), authority, trusted_proxies="127.0.0.0/8")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[World]:
    """A server whose operator lets documents have one API only."""
    policy = '{"resources": ["https://notes.example/"], "access_token_lifetime_s": 120}'
    yield from a_world(
        tmp_path_factory.mktemp("narrow"),
        authority,
        client_id_metadata_documents_policy=policy,
        refresh_token_idle_lifetime_s=str(400 * DAY_S),
        refresh_token_absolute_lifetime_s=str(400 * DAY_S),
    )


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[World]:
    yield from a_world(tmp_path_factory.mktemp("off"), authority, client_id_metadata_documents="off")


def open_as(world: World, client_id: str, peer: str) -> Reply:
    browser = world.browser()
    browser.headers = {"X-Forwarded-For": peer}
    return browser.get(party_of(world, client_id).begin().url)


def test_16_a_peer_makes_us_fetch_few_new_documents_and_others_are_not_slowed_down(
    limited: World, host: DocumentHost
) -> None:
    known = host.publish(a_path())
    assert open_as(limited, known, ALICE).status == 200
    statuses = [open_as(limited, host.publish(a_path()), MALLORY).status for _ in range(25)]
    assert 429 in statuses
    assert statuses[: statuses.index(429)] == [200] * statuses.index(429)
    assert len(host.asked) <= 22
    refused = open_as(limited, host.publish(a_path()), MALLORY)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert "location" not in refused.headers
    assert open_as(limited, known, MALLORY).status == 200
    assert open_as(limited, host.publish(a_path()), ALICE).status == 200


def test_101_hosts_that_hang_occupy_few_threads_and_nobody_else(
    limited: World, document_tls: ssl.SSLContext, host: DocumentHost
) -> None:
    with DocumentHost(document_tls) as slow, ThreadPoolExecutor(12) as pool:
        slow.wait = threading.Event()
        peers = [f"198.51.100.{number}" for number in range(10, 20)]
        waiting = [pool.submit(open_as, limited, slow.publish(a_path()), peer) for peer in peers]
        wait_until(lambda: sum(slow.asked.values()) >= 4, within_s=30)
        # Everybody else is served meanwhile, and other hosts are asked.
        assert open_as(limited, host.publish(a_path()), "198.51.100.99").status == 200
        party = limited.relying_party()
        assert limited.browser().get(party.begin().url).status == 200
        replies = [each.result(timeout=60) for each in waiting]
    statuses = sorted(reply.status for reply in replies)
    assert set(statuses) == {400, 503}
    # A few waited in vain; the others heard at once that they may come again.
    assert statuses.count(400) >= 4
    assert all("retry-after" in reply.headers for reply in replies if reply.status == 503)


def test_what_is_switched_off_is_not_there(off: World, host: DocumentHost) -> None:
    metadata = send(f"{off.url}/.well-known/oauth-authorization-server").json()
    assert "client_id_metadata_document_supported" not in metadata
    page = open_as(off, host.publish(a_path()), ALICE)
    assert page.status == 400
    assert "the client is not known here" in page.text.lower()
    assert not host.asked


def test_96_the_operator_narrows_what_all_documents_may_have(narrow: World, host: DocumentHost) -> None:
    notes, other = narrow.operator.add_resource(resource="https://notes.example/"), narrow.operator.add_resource()
    client_id = host.publish(a_path(), policy={"resources": [other], "access_token_lifetime_s": 3600})
    party, account = party_of(narrow, client_id), narrow.operator.add_user()
    assert narrow.get_tokens(party, account, scope="photos.read", resource=notes).expires_in == 120
    answer = party.read_answer(narrow.browser().get(party.begin(scope="photos.read", resource=other).url))
    assert answer["error"] in ("invalid_target", "unauthorized_client")


def test_120_what_a_document_was_given_ends_after_ninety_days_however_long_others_keep_theirs(
    narrow: World, host: DocumentHost
) -> None:
    account = narrow.operator.add_user()
    document = party_of(narrow, host.publish(a_path()))
    registered = narrow.relying_party(grant_types=["authorization_code", "refresh_token"])
    tokens = [narrow.get_tokens(party, account, scope="openid offline_access") for party in (document, registered)]
    try:
        for days, status in ((89, 200), (2, 400)):
            narrow.clock.move(seconds=days * DAY_S)
            replies = [
                party.try_refresh(held.refresh_token)
                for party, held in zip((document, registered), tokens, strict=True)
            ]
            assert [reply.status for reply in replies] == [status, 200]
            if status == 200:
                tokens = [read_tokens(reply) for reply in replies]
    finally:
        narrow.clock.reset()
    assert replies[0].json()["error"] == "invalid_grant"
