"""Forged tokens, stolen ones and forged proofs: each is refused for its own reason. They are in forgeries.py."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.specs.protocol_error import InvalidToken, ProtocolError
from app.verifier import AccessTokenVerifier, require
from tests.verifier.conftest import MakeVerifier
from tests.verifier.forgeries import (
    FORGERIES,
    INVALID,
    PROOF,
    REVOKED_INDEX,
    TRUSTED_PROXIES,
    VIEW,
    Bench,
    claims,
    edited,
    header,
    proved,
    used,
)
from tests.verifier.issuer import ClientKey, IssuerServer, SigningKey


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    key = SigningKey()
    with IssuerServer(key) as server:
        server.publish_list(REVOKED_INDEX)
        yield Bench(
            issuer=server.issuer,
            list_uri=server.list_uri(),
            key=key,
            stranger=SigningKey(),
            client=ClientKey(),
            thief=ClientKey(),
        )


@pytest.fixture
def verifier(bench: Bench, make_verifier: MakeVerifier) -> AccessTokenVerifier:
    return make_verifier(
        bench.issuer,
        keys=[bench.key.public_jwk],
        require_status=True,
        trusted_proxies=TRUSTED_PROXIES,
    )


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "10.0.0.0"])
def test_the_request_that_the_forgeries_start_from_passes(
    peer: str, bench: Bench, verifier: AccessTokenVerifier
) -> None:
    for same in (used(peer=peer), header(), claims(), edited(lambda h, p, s: f"{h}.{p}.{s}"), proved()):
        request = same(bench)
        if request.peer != peer:
            request = used(peer=peer)(bench)
        accepted = verifier.verify_request(request, VIEW)
        assert accepted is not None
        assert (accepted.subject, accepted.client_id) == ("alice", "printer")
        assert [detail.type for detail in accepted.authorization_details] == ["payment_initiation"]


def test_through_a_trusted_proxy_the_clients_address_counts(bench: Bench, verifier: AccessTokenVerifier) -> None:
    request = used(peer="198.51.100.1", forwarded_for="203.0.113.9, 10.1.2.3, 198.51.100.2")(bench)
    assert verifier.verify_request(request, VIEW) is not None


def test_there_are_forgeries_enough_and_every_one_has_a_reason_of_its_kind() -> None:
    assert len(FORGERIES) >= 100
    assert {error for _, error, _ in FORGERIES.values()} == {
        INVALID,
        PROOF,
        "insufficient_scope",
        "insufficient_user_authentication",
        "invalid_request",
    }


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_for_its_own_reason(name: str, bench: Bench, verifier: AccessTokenVerifier) -> None:
    forge, error, reason = FORGERIES[name]
    request = forge(bench)
    # Once as a token that was never seen, and once more: what was remembered must not let it in.
    for _ in range(2):
        with pytest.raises(ProtocolError, match=reason) as refusal:
            verifier.verify_request(request, VIEW)
        assert refusal.value.error == error
        assert refusal.value.description.isascii()


def test_a_refused_request_does_not_spend_its_proof(bench: Bench, verifier: AccessTokenVerifier) -> None:
    request = bench.request(bench.token(scope="photos.read"))
    with pytest.raises(ProtocolError, match=r"photos\.print"):
        verifier.verify_request(request, VIEW)
    assert verifier.verify_request(request, require("photos.read")) is not None
    with pytest.raises(ProtocolError, match="has been used before"):
        verifier.verify_request(request, require("photos.read"))


def test_the_same_proof_twenty_times_in_parallel_passes_once(bench: Bench, verifier: AccessTokenVerifier) -> None:
    request = bench.request(bench.token())

    def attempt(_: int) -> str:
        try:
            verifier.verify_request(request, VIEW)
        except ProtocolError as error:
            return error.description
        return "accepted"

    with ThreadPoolExecutor(20) as pool:
        verdicts = Counter(pool.map(attempt, range(20)))
    assert verdicts == {"accepted": 1, "the DPoP proof has been used before": 19}


def test_a_token_that_needs_its_request_is_refused_where_there_is_none(
    bench: Bench, verifier: AccessTokenVerifier
) -> None:
    for changes, reason in (
        ({}, "not as a bearer token"),
        ({"cnf": ...}, "limited to networks, and the sender's address is not known"),
    ):
        with pytest.raises(InvalidToken, match=reason):
            verifier.verify(bench.token(**changes))
    assert verifier.verify(bench.token(cnf=..., th_networks=...), requirement=VIEW).subject == "alice"
