"""Clients' keys: which of them may have signed, when they are fetched, and how little a host that hangs can do."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog.testing

from app.services.client_keys import (
    ASK_AGAIN_AFTER_MS,
    FRESH_FOR_S,
    MAX_CANDIDATES,
    MAX_KEY_SET_BYTES,
    MAX_WAITING,
    MAX_WAITING_FOR_ONE_CLIENT,
    MOST_FRESH_FOR_S,
    STALE_FOR_MS,
    ClientKeys,
)
from app.services.client_registry import Client
from app.services.fetch_document import DocumentFetcher
from app.specs.protocol_error import TemporarilyUnavailable
from app.specs.rfc7515_jose import InvalidJws, InvalidSignature
from app.specs.rfc7591_metadata import parse_client_metadata
from tests.actors.signing_key import SigningKey, jwk_set
from tests.services.other_host import (
    LOOPBACK,
    Behaviour,
    CertificateAuthority,
    Network,
    OtherHost,
    answer,
    names,
)

FIRST, SECOND, THIRD = SigningKey(), SigningKey(), SigningKey()
NAMELESS, OTHER_NAMELESS = SigningKey(kid=None), SigningKey(kid=None)
RSA = SigningKey("RS256")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def fetcher(authority: CertificateAuthority) -> DocumentFetcher:
    return DocumentFetcher(allowed_networks=[LOOPBACK], ca_bundle=authority.bundle, resolve=names("127.0.0.1"))


@pytest.fixture
def keys(fetcher: DocumentFetcher, clock: Clock) -> ClientKeys:
    return ClientKeys(fetcher, clock)


@pytest.fixture
def host(authority: CertificateAuthority) -> Iterator[OtherHost]:
    with OtherHost(publish(FIRST), tls=authority.serve("rp.example")) as host:
        yield host


def publish(*keys: SigningKey, header: str = "Content-Type: application/json") -> bytes:
    return answer(header, body=json.dumps(jwk_set(*keys)).encode())


def make_client(client_id: str = "client", **metadata: Any) -> Client:
    document = {"client_id": client_id, "redirect_uris": ["https://app.example/cb"], **metadata}
    return Client(
        pk=1,
        client_id=client_id,
        metadata=parse_client_metadata({"token_endpoint_auth_method": "private_key_jwt", **document}),
        policy_version=1,
        security_profile="oauth21",
        is_disabled=False,
        secrets=(),
    )


def verifies(keys: ClientKeys, client: Client, key: SigningKey, **header: Any) -> bool:
    token = key.sign(b"payload", header=header)
    try:
        payload = keys.verify_jws(client, token, algorithms=("ES256", "RS256"), typ="JWT", max_bytes=8192)
    except InvalidSignature:
        return False
    assert payload == b"payload"
    return True


# ----- Which key -----


def test_the_kid_chooses_among_inline_keys(keys: ClientKeys, network: Network) -> None:
    client = make_client(jwks=jwk_set(FIRST, SECOND, RSA))
    (found,) = keys.find_verification_keys(client, kid=SECOND.kid, alg="ES256")
    assert found.kid == SECOND.kid
    assert verifies(keys, client, RSA)
    assert keys.find_verification_keys(client, kid=THIRD.kid, alg="ES256") == ()
    assert network == Network()


def test_without_a_kid_every_key_that_fits_the_algorithm_may_be_meant(keys: ClientKeys) -> None:
    client = make_client(jwks=jwk_set(FIRST, RSA, SECOND))
    found = keys.find_verification_keys(client, kid=None, alg="ES256")
    assert [key.kid for key in found] == [FIRST.kid, SECOND.kid]
    assert verifies(keys, client, SECOND, kid=...)
    assert keys.find_verification_keys(client, kid=None, alg="HS256") == ()


def test_a_key_that_was_registered_without_a_kid_may_be_meant_by_any(keys: ClientKeys) -> None:
    client = make_client(jwks=jwk_set(FIRST, NAMELESS))
    assert verifies(keys, client, NAMELESS)
    assert verifies(keys, client, NAMELESS, kid="whatever its owner calls it")
    assert not verifies(keys, client, NAMELESS, kid=FIRST.kid)


def test_two_keys_of_one_kid_are_both_tried(keys: ClientKeys, host: OtherHost) -> None:
    one, other = SigningKey(kid="same"), SigningKey(kid="same")
    host.behaviour = publish(one, other)
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, one)
    assert verifies(keys, client, other)


def test_a_signature_is_tried_with_a_bounded_number_of_keys(keys: ClientKeys) -> None:
    client = make_client(jwks=jwk_set(*(SigningKey(kid=None) for _ in range(MAX_CANDIDATES + 5))))
    assert len(keys.find_verification_keys(client, kid=None, alg="ES256")) == MAX_CANDIDATES


def test_changed_inline_keys_count_at_once(keys: ClientKeys) -> None:
    assert verifies(keys, make_client(jwks=jwk_set(FIRST)), FIRST)
    assert not verifies(keys, make_client(jwks=jwk_set(SECOND)), FIRST)
    assert verifies(keys, make_client(jwks=jwk_set(SECOND)), SECOND)


def test_a_client_without_keys_has_none(keys: ClientKeys) -> None:
    client = make_client(token_endpoint_auth_method="client_secret_basic")
    assert keys.find_verification_keys(client, kid=None, alg="ES256") == ()


def test_keys_of_another_use_do_not_verify(keys: ClientKeys) -> None:
    client = make_client(jwks={"keys": [{**FIRST.public_jwk, "use": "enc"}]})
    assert not verifies(keys, client, FIRST)


def test_the_key_that_is_for_encryption_alone_is_preferred(keys: ClientKeys) -> None:
    anything = {name: member for name, member in FIRST.public_jwk.items() if name not in ("use", "alg")}
    for_encryption = {**SECOND.public_jwk, "use": "enc", "alg": "ECDH-ES"}
    client = make_client(jwks={"keys": [anything, for_encryption, RSA.public_jwk]})
    found = keys.find_encryption_key(client, alg="ECDH-ES")
    assert found is not None
    assert found.kid == SECOND.kid
    found = keys.find_encryption_key(client, alg="ECDH-ES+A128KW")
    assert found is not None
    assert found.kid == FIRST.kid
    assert keys.find_encryption_key(client, alg="RSA-OAEP") is None, "its only RSA key is for signatures"


# ----- When it is fetched -----


def test_the_keys_at_an_address_are_fetched_once_and_remembered(
    keys: ClientKeys, host: OtherHost, clock: Clock
) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    assert all(verifies(keys, client, FIRST) for _ in range(3))
    clock.now += FRESH_FOR_S * 1000 - 1
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 1
    clock.now += 1
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 2


@pytest.mark.parametrize(
    ("said", "kept_s"), [("max-age=600", 600), ("no-store", 60), ("max-age=1", 60), ("max-age=99999999", 3600)]
)
def test_what_the_host_says_about_caching_counts_within_bounds(
    keys: ClientKeys, host: OtherHost, clock: Clock, said: str, kept_s: int
) -> None:
    host.behaviour = publish(FIRST, header=f"Cache-Control: {said}")
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, FIRST)
    clock.now += kept_s * 1000 - 1
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 1
    clock.now += 1
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 2


def test_an_unknown_kid_is_looked_for_at_the_address_once_a_minute(
    keys: ClientKeys, host: OtherHost, clock: Clock
) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, FIRST)
    host.behaviour = publish(SECOND)
    assert not verifies(keys, client, SECOND), "it was asked less than a minute ago"
    assert len(host.requests) == 1
    clock.now += ASK_AGAIN_AFTER_MS
    assert verifies(keys, client, SECOND)
    assert not verifies(keys, client, FIRST)
    for kid in ("one", "two", "three"):
        assert not verifies(keys, client, THIRD, kid=kid)
    assert len(host.requests) == 2


def test_a_new_key_without_a_kid_is_found_by_its_signature(keys: ClientKeys, host: OtherHost, clock: Clock) -> None:
    host.behaviour = publish(NAMELESS)
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, NAMELESS)
    host.behaviour = publish(OTHER_NAMELESS)
    clock.now += ASK_AGAIN_AFTER_MS
    assert verifies(keys, client, OTHER_NAMELESS)
    assert not verifies(keys, client, NAMELESS)


def test_another_address_of_the_same_client_is_fetched_at_once(keys: ClientKeys, host: OtherHost) -> None:
    assert verifies(keys, make_client(jwks_uri=host.url("/old")), FIRST)
    host.behaviour = publish(SECOND)
    assert verifies(keys, make_client(jwks_uri=host.url("/new")), SECOND)
    assert verifies(keys, make_client("other", jwks_uri=host.url("/old")), SECOND)


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"alg": "none"}, {"typ": "dpop+jwt"}, {"crit": ["x"]}])
def test_nothing_is_fetched_for_a_token_that_is_refused_anyway(
    keys: ClientKeys, host: OtherHost, header: dict[str, Any]
) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    with pytest.raises(InvalidJws):
        keys.verify_jws(client, FIRST.sign(b"", header=header), algorithms=("ES256",), typ="JWT", max_bytes=8192)
    assert host.requests == []


@pytest.mark.parametrize(
    "jwks_uri",
    ["https://169.254.169.254/jwks", "https://[::1]/jwks", "https://rp.example:25/jwks", "https://10.0.0.1/jwks"],
)
def test_an_address_that_is_forbidden_is_never_asked(jwks_uri: str, clock: Clock, network: Network) -> None:
    keys = ClientKeys(DocumentFetcher(resolve=names("10.0.0.1")), clock)
    assert not verifies(keys, make_client(jwks_uri=jwks_uri), FIRST)
    assert network == Network()


# ----- A host that is broken -----

BROKEN = {
    "down": answer(status="503 Busy"),
    "no JSON": answer(body=b"<html>"),
    "no key set": answer(body=b'{"keys": 1}'),
    "two readings": answer(body=b'{"keys": [], "keys": []}'),
    "an array": answer(body=b"[]"),
    "redirect": answer("Location: https://rp.example/", status="302 Elsewhere"),
    "too large": answer(body=b" " * (MAX_KEY_SET_BYTES + 1)),
    "nested": answer(body=b'{"keys":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_failure_is_remembered_for_a_minute(keys: ClientKeys, host: OtherHost, clock: Clock, broken: bytes) -> None:
    host.behaviour = broken
    client = make_client(jwks_uri=host.url("/jwks"))
    assert not verifies(keys, client, FIRST)
    host.behaviour = publish(FIRST)
    clock.now += ASK_AGAIN_AFTER_MS - 1
    assert not verifies(keys, client, FIRST)
    assert len(host.requests) == 1
    clock.now += 1
    assert verifies(keys, client, FIRST)


def test_while_the_host_is_broken_the_last_keys_serve_on_for_an_hour(
    keys: ClientKeys, host: OtherHost, clock: Clock
) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, FIRST)
    host.behaviour = BROKEN["down"]
    clock.now += FRESH_FOR_S * 1000 + STALE_FOR_MS - 1
    assert verifies(keys, client, FIRST)
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 2, "and the host is asked once a minute"
    clock.now += 1
    assert not verifies(keys, client, FIRST)


def test_the_log_says_why_there_are_no_keys(keys: ClientKeys, host: OtherHost) -> None:
    host.behaviour = BROKEN["down"]
    with structlog.testing.capture_logs() as lines:
        verifies(keys, make_client("c" * 2048, jwks_uri=host.url("/jwks")), FIRST)
    assert lines == [
        {"event": "no client keys", "log_level": "warning", "client_id": "c" * 200, "reason": "answered 503"}
    ]


def test_a_clock_that_was_set_back_makes_no_keys_immortal(keys: ClientKeys, host: OtherHost, clock: Clock) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, FIRST)
    clock.now -= MOST_FRESH_FOR_S * 1000
    host.behaviour = publish(SECOND)
    assert verifies(keys, client, SECOND)


# ----- A host that hangs -----


def answer_after(released: threading.Event, what: bytes) -> Behaviour:
    def behave(connection: socket.socket, _over: threading.Event) -> None:
        released.wait(20)
        connection.sendall(what)

    return behave


def test_many_who_ask_at_once_cause_one_fetch(keys: ClientKeys, host: OtherHost) -> None:
    released = threading.Event()
    host.behaviour = answer_after(released, publish(FIRST))
    client = make_client(jwks_uri=host.url("/jwks"))
    with ThreadPoolExecutor(MAX_WAITING_FOR_ONE_CLIENT) as threads:
        asking = [threads.submit(verifies, keys, client, FIRST) for _ in range(MAX_WAITING_FOR_ONE_CLIENT)]
        assert host.arrived.acquire(timeout=10)
        released.set()
        assert all(each.result(timeout=10) for each in asking)
    assert len(host.requests) == 1


def test_who_would_be_one_too_many_is_told_to_come_back_and_not_that_the_client_is_wrong(
    keys: ClientKeys, host: OtherHost
) -> None:
    released = threading.Event()
    host.behaviour = answer_after(released, publish(FIRST))
    client = make_client(jwks_uri=host.url("/jwks"))
    turned_away = threading.Event()

    def ask() -> bool:
        try:
            return verifies(keys, client, FIRST)
        except TemporarilyUnavailable as error:
            turned_away.set()
            return error.headers == {"Retry-After": "1"}

    with ThreadPoolExecutor(MAX_WAITING_FOR_ONE_CLIENT + 1) as threads:
        asking = [threads.submit(ask) for _ in range(MAX_WAITING_FOR_ONE_CLIENT + 1)]
        assert turned_away.wait(10)
        released.set()
        assert all(each.result(timeout=10) for each in asking)
    assert verifies(keys, client, FIRST)
    assert len(host.requests) == 1


def test_hosts_that_hang_leave_everybody_else_alone(keys: ClientKeys, host: OtherHost) -> None:
    warm, inline = make_client("warm", jwks_uri=host.url("/warm")), make_client("inline", jwks=jwk_set(FIRST))
    assert verifies(keys, warm, FIRST)
    assert host.arrived.acquire(timeout=10)
    released = threading.Event()
    host.behaviour = answer_after(released, publish(FIRST))
    slow = [make_client(f"slow-{number}", jwks_uri=host.url("/slow")) for number in range(MAX_WAITING)]
    with ThreadPoolExecutor(MAX_WAITING) as threads:
        asking = [threads.submit(verifies, keys, client, FIRST) for client in slow]
        for _ in asking:
            assert host.arrived.acquire(timeout=10)
        assert verifies(keys, warm, FIRST)
        assert verifies(keys, inline, FIRST)
        with pytest.raises(TemporarilyUnavailable):
            verifies(keys, make_client("cold", jwks_uri=host.url("/cold")), FIRST)
        released.set()
        assert all(each.result(timeout=10) for each in asking)
    assert verifies(keys, make_client("cold", jwks_uri=host.url("/cold")), FIRST)


def test_stale_keys_serve_while_somebody_waits_for_the_new_ones(
    keys: ClientKeys, host: OtherHost, clock: Clock
) -> None:
    client = make_client(jwks_uri=host.url("/jwks"))
    assert verifies(keys, client, FIRST)
    assert host.arrived.acquire(timeout=10)
    clock.now += FRESH_FOR_S * 1000
    released = threading.Event()
    host.behaviour = answer_after(released, publish(FIRST, SECOND))
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(verifies, keys, client, SECOND)
        assert host.arrived.acquire(timeout=10)
        assert all(verifies(keys, client, FIRST) for _ in range(10))
        released.set()
        assert asking.result(timeout=10)
    assert len(host.requests) == 2
