"""What a verifier remembers of tokens that it has seen, and when it forgets."""

import pickle
import sys

import pytest

from app.specs.protocol_error import InvalidToken
from app.verifier.key_set import Keys
from app.verifier.seen_tokens import SeenTokens, VerifiedToken
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import IssuerServer, MovableClock, SigningKey, make_claims, wait_for_background_fetches

ISSUER = "https://login.example.com"


def test_a_token_that_was_seen_expires_like_any_other(
    key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    token = key.sign(make_claims(ISSUER, now_s=clock.now_s))
    for _ in range(31):
        assert verifier.verify(token).subject == "alice"
        clock.advance(10)
    for _ in range(2):
        with pytest.raises(InvalidToken, match="the token has expired"):
            verifier.verify(token)


def test_a_token_is_remembered_by_its_exact_text(
    key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    token = key.sign(make_claims(ISSUER))
    verifier.verify(token)
    for other in (token + "=", token + ".", token[:-1], token.swapcase(), f" {token}", token + "\u00e9", token * 2):
        with pytest.raises(InvalidToken):
            verifier.verify(other)


def test_a_withdrawn_key_takes_the_tokens_that_it_signed_with_it(
    server: IssuerServer, key: SigningKey, next_key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(server.issuer)
    token = key.sign(make_claims(server.issuer, exp=int(clock.now_s) + 3600))
    verifier.verify(token)
    server.publish(next_key)
    clock.advance(250)
    assert verifier.verify(token).subject == "alice"
    wait_for_background_fetches()
    with pytest.raises(InvalidToken, match="no key of the issuer"):
        verifier.verify(token)


def test_what_a_view_asks_for_is_judged_at_every_call(
    key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    token = key.sign(make_claims(ISSUER))
    assert verifier.verify(token, scope="photos.read").subject == "alice"
    with pytest.raises(Exception, match=r"lacks the scope photos\.write"):
        verifier.verify(token, scope="photos.write")


def make_verified(key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier, **changes: int) -> VerifiedToken:
    claims = make_verifier(ISSUER, keys=[key.public_jwk], seen_tokens=0).verify(
        key.sign(make_claims(ISSUER, **changes))
    )
    return VerifiedToken(claims=claims, keys=Keys.of(()), bound_jkt=None, networks=None, status=None)


def test_the_memory_is_bounded_and_the_oldest_leave_first(
    key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    seen, verified = SeenTokens(100), make_verified(key, clock, make_verifier)
    for number in range(250):
        seen.add(number.to_bytes(32, "big"), verified, now_s=clock.now_s)
        assert len(seen) <= 100
    assert seen.find((149).to_bytes(32, "big")) is None
    assert seen.find((150).to_bytes(32, "big")) is verified


def test_the_dead_leave_when_others_come(key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier) -> None:
    seen, verified = SeenTokens(1000), make_verified(key, clock, make_verifier)
    for number in range(100):
        seen.add(number.to_bytes(32, "big"), verified, now_s=clock.now_s)
    clock.advance(301)
    living = make_verified(key, clock, make_verifier, iat=int(clock.now_s), exp=int(clock.now_s) + 300)
    for number in range(100, 152):
        seen.add(number.to_bytes(32, "big"), living, now_s=clock.now_s)
    assert len(seen) == 52


def test_no_token_is_kept_in_memory(key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk])
    token = key.sign(make_claims(ISSUER))
    verifier.verify(token)
    (digest,) = verifier._seen._tokens
    assert len(digest) == 32
    entry = verifier._seen.find(digest)
    assert entry is not None
    kept = pickle.dumps(dict(entry.claims.claims))
    assert token.rpartition(".")[2].encode() not in kept
    assert sys.getsizeof(digest) < 100


def test_none_are_remembered_where_the_operator_says_so(
    key: SigningKey, clock: MovableClock, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(ISSUER, keys=[key.public_jwk], seen_tokens=0)
    token = key.sign(make_claims(ISSUER))
    assert verifier.verify(token) == verifier.verify(token)
    assert len(verifier._seen) == 0
