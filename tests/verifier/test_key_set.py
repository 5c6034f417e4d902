"""How long keys are kept, when they are renewed, and what a verifier does while the issuer is down."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.specs.protocol_error import InvalidToken, ProtocolError, TemporarilyUnavailable
from app.verifier import WouldWait
from app.verifier.https import FetchError
from app.verifier.issuer_keys import FetchedKeys
from app.verifier.key_set import FetchedKeySet
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import (
    IssuerServer,
    MovableClock,
    SigningKey,
    answer_bytes,
    answer_json,
    make_claims,
    wait_for_background_fetches,
)


def _token(key: SigningKey, issuer: str, clock: MovableClock) -> str:
    return key.sign(make_claims(issuer, now_s=clock.now_s))


# ----- Once, and kept ------------------------------------------------------------------------------------------------


def test_the_keys_are_fetched_once_for_a_thousand_tokens(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    token = _token(key, server.issuer, clock)
    for _ in range(1000):
        assert verifier.verify(token).subject == "alice"
    assert server.requests == {"/.well-known/openid-configuration": 1, "/keys": 1}


def test_fifty_threads_that_start_together_cause_one_fetch(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    token = _token(key, server.issuer, clock)
    together = threading.Barrier(50)

    def verify(_: int) -> str:
        together.wait()
        return verifier.verify(token).subject

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(verify, range(50))) == ["alice"] * 50
    assert server.jwks_requests == 1


def test_given_keys_are_never_fetched(key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock) -> None:
    token = _token(key, "https://issuer.invalid", clock)
    for keys in ([key.public_jwk], {"keys": [key.public_jwk]}):
        assert make_verifier("https://issuer.invalid", keys=keys).verify_at_once(token).subject == "alice"


def test_keys_can_be_fetched_before_the_first_token(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    with pytest.raises(WouldWait):
        verifier.verify_at_once(_token(key, server.issuer, clock))
    verifier.fetch_keys()
    assert verifier.verify_at_once(_token(key, server.issuer, clock)).subject == "alice"


# ----- Renewal -------------------------------------------------------------------------------------------------------


def test_before_the_keys_are_old_they_are_renewed_in_the_background(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer, max_age_s=300)
    verifier.fetch_keys()
    clock.advance(224)
    verifier.verify_at_once(_token(key, server.issuer, clock))
    wait_for_background_fetches()
    assert server.jwks_requests == 1

    clock.advance(2)
    # The call that finds them due is answered from the copy at hand.
    assert verifier.verify_at_once(_token(key, server.issuer, clock)).subject == "alice"
    wait_for_background_fetches()
    assert server.jwks_requests == 2


@pytest.mark.parametrize(
    ("cache_control", "kept_s"),
    [("max-age=60", 60), ("public, max-age=60", 60), ("max-age=86400", 300), ("no-store", 10), ("max-age=0", 10)],
)
def test_the_issuers_cache_control_shortens_the_life_of_a_copy(
    cache_control: str, kept_s: int, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    with IssuerServer(key, jwks_headers={"Cache-Control": cache_control}) as server:
        verifier = make_verifier(server.issuer, max_age_s=300)
        verifier.fetch_keys()
        clock.advance(kept_s * 3 / 4 - 0.1)
        verifier.verify_at_once(_token(key, server.issuer, clock))
        wait_for_background_fetches()
        assert server.jwks_requests == 1
        clock.advance(0.2)
        verifier.verify_at_once(_token(key, server.issuer, clock))
        wait_for_background_fetches()
        assert server.jwks_requests == 2


def test_a_withdrawn_key_is_refused_by_the_first_call_after_the_copy_is_old(
    server: IssuerServer, key: SigningKey, next_key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer, max_age_s=300)
    verifier.fetch_keys()
    server.publish(next_key)
    clock.advance(301)
    with pytest.raises(InvalidToken, match="no key of the issuer"):
        verifier.verify(_token(key, server.issuer, clock))


def test_an_issuer_that_withdrew_every_key_is_believed(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.publish()
    clock.advance(301)
    with pytest.raises(InvalidToken):
        verifier.verify(_token(key, server.issuer, clock))


# ----- Unknown keys --------------------------------------------------------------------------------------------------


def test_a_rotated_key_is_known_at_its_first_token(
    server: IssuerServer, key: SigningKey, next_key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    clock.advance(30)
    server.publish(key, next_key)
    assert verifier.verify(_token(next_key, server.issuer, clock)).subject == "alice"
    assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"
    assert server.jwks_requests == 2


def test_a_key_without_kid_is_tried_when_it_fits(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    anonymous = {name: value for name, value in key.public_jwk.items() if name not in ("kid", "alg", "use")}
    rsa_without_kid = {name: value for name, value in SigningKey("RS256").public_jwk.items() if name != "kid"}
    server.answers["/keys"] = answer_json({"keys": [rsa_without_kid, anonymous]})
    assert make_verifier(server.issuer).verify(_token(key, server.issuer, clock)).subject == "alice"


def test_a_flood_of_unknown_key_ids_causes_one_fetch_in_ten_seconds(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    strangers = [SigningKey() for _ in range(20)]
    clock.advance(10)
    fetches = []
    for _ in range(3):
        tokens = [_token(stranger, server.issuer, clock) for stranger in strangers] * 10
        with ThreadPoolExecutor(16) as pool:
            refusals = list(pool.map(lambda token: _refusal(verifier.verify, token), tokens))
        assert set(refusals) == {"no key of the issuer verifies the signature"}
        assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"
        fetches.append(server.jwks_requests)
        clock.advance(9.9)
        _refusal(verifier.verify, tokens[0])
        assert server.jwks_requests == fetches[-1]
        clock.advance(0.1)
    assert fetches == [2, 3, 4]


def test_a_token_that_is_refused_anyway_causes_no_fetch(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    stranger = SigningKey()
    with pytest.raises(InvalidToken, match="typ"):
        verifier.verify(stranger.sign(make_claims(server.issuer), typ="JWT"))
    assert server.requests.total() == 0
    verifier.fetch_keys()
    clock.advance(60)
    header, payload, _ = _token(key, server.issuer, clock).split(".")
    with pytest.raises(InvalidToken, match="the signature does not verify"):
        verifier.verify(f"{header}.{payload}.{'A' * 86}")
    assert server.jwks_requests == 1


def test_while_the_issuer_is_down_no_stranger_makes_a_caller_wait(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.stop()
    try:
        clock.advance(301)
        assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"
        clock.advance(3600)
        # verify_at_once raises WouldWait where verify would wait.
        with pytest.raises(InvalidToken, match="no key of the issuer"):
            verifier.verify_at_once(_token(SigningKey(), server.issuer, clock))
        wait_for_background_fetches()
    finally:
        server.start()


def test_a_fetch_that_failed_once_does_not_keep_a_new_key_unknown(
    server: IssuerServer, key: SigningKey, next_key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    clock.advance(20)
    server.answers["/keys"] = answer_bytes(b"", status=500)
    with pytest.raises(InvalidToken, match="no key of the issuer"):
        verifier.verify(_token(next_key, server.issuer, clock))
    server.publish(key, next_key)
    clock.advance(10)
    with pytest.raises(InvalidToken, match="no key of the issuer"):
        verifier.verify_at_once(_token(next_key, server.issuer, clock))
    wait_for_background_fetches()
    assert verifier.verify_at_once(_token(next_key, server.issuer, clock)).subject == "alice"


def _refusal(verify: object, token: str) -> str:
    assert callable(verify)
    try:
        verify(token)
    except ProtocolError as error:
        return error.description
    return "accepted"


# ----- The issuer is down --------------------------------------------------------------------------------------------


def test_a_verifier_goes_on_while_the_issuer_is_down_until_the_stated_bound(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer, max_stale_s=86_400)
    verifier.fetch_keys()
    server.stop()
    try:
        for _ in range(24):
            clock.advance(3599)
            assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"
            wait_for_background_fetches()
        clock.advance(24)
        with pytest.raises(TemporarilyUnavailable) as refusal:
            verifier.verify(_token(key, server.issuer, clock))
        assert 1 <= int(refusal.value.headers["Retry-After"]) <= 60
    finally:
        server.start()
    clock.advance(60)
    assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"


def test_after_an_outage_a_new_key_is_taken_in_the_background(
    server: IssuerServer, key: SigningKey, next_key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.stop()
    clock.advance(301)
    verifier.verify(_token(key, server.issuer, clock))
    server.start()
    server.publish(next_key)
    clock.advance(60)
    assert verifier.verify_at_once(_token(key, server.issuer, clock)).subject == "alice"
    wait_for_background_fetches()
    assert verifier.verify_at_once(_token(next_key, server.issuer, clock)).subject == "alice"


def test_without_any_key_the_answer_is_503_and_the_issuer_is_asked_at_growing_distances(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    server.answers["/keys"] = answer_bytes(b"{}", status=500)
    verifier = make_verifier(server.issuer)
    asked_at = []
    for second in range(64):
        before = server.jwks_requests
        with pytest.raises(TemporarilyUnavailable) as refusal:
            verifier.verify(_token(key, server.issuer, clock))
        assert refusal.value.headers["Retry-After"].isdigit()
        if server.jwks_requests > before:
            asked_at.append(second)
        clock.advance(1)
    assert asked_at == [0, 2, 6, 14, 30, 62]
    server.publish(key)
    clock.advance(60)
    assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"


def test_an_outage_of_a_thousand_failures_is_no_different_from_one_of_ten(key: SigningKey, clock: MovableClock) -> None:
    attempts = 0

    def fetch() -> FetchedKeys:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            return FetchedKeys(keys=(key.key.public,), max_age_s=None)
        raise FetchError("down")

    key_set = FetchedKeySet(
        fetch, max_age_s=300, max_stale_s=10**6, unknown_key_interval_s=10, wait_s=5, monotonic=clock
    )
    key_set.get_keys(wait=True)
    clock.advance(300)
    for _ in range(1200):
        key_set.get_keys(wait=True)
        wait_for_background_fetches()
        clock.advance(60)
    assert attempts == 1201
    assert key_set.get_keys(wait=False).every == (key.key.public,)


def test_an_issuer_that_never_finishes_its_answer_holds_callers_only_until_the_timeout(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer, timeout_s=0.2)
    server.answer_after_the_gate_opens()
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable):
            verifier.verify(_token(key, server.issuer, clock))
    wait_for_background_fetches()
    server.gate.set()
    clock.advance(60)
    assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"


def test_a_slow_renewal_holds_nobody(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.answer_after_the_gate_opens()
    clock.advance(250)
    for _ in range(100):
        assert verifier.verify_at_once(_token(key, server.issuer, clock)).subject == "alice"
    server.gate.set()
    wait_for_background_fetches()
    assert server.jwks_requests == 2
