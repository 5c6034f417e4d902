"""The fixture for the tests of an API: real tokens, the real verifier, no network."""

import asyncio
import socket

import jwt
import pytest

from app.specs.protocol_error import InvalidToken, ProtocolError
from app.verifier import ResourceRequest, require
from app.verifier.pytest_plugin import DpopKey, TokenhouseIssuer, tokenhouse_issuer
from tests.patience import run_async

__all__ = ["tokenhouse_issuer"]

URL = "https://api.example.test/photos"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test with this fixture opens no connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_tokens_have_the_claims_that_were_chosen_and_are_real(tokenhouse_issuer: TokenhouseIssuer) -> None:
    token = tokenhouse_issuer.token(
        scope="photos.read", subject="bob", client_id="printer", acr="mfa", amr=["pwd", "otp"]
    )
    claims = tokenhouse_issuer.verifier().verify(
        token, requirement=require("photos.read", acr_values="mfa", max_age_s=60)
    )
    assert (claims.subject, claims.client_id, claims.acr, claims.claims["amr"]) == (
        "bob",
        "printer",
        "mfa",
        ["pwd", "otp"],
    )
    # Another library believes it too.
    decoded = jwt.decode(
        token,
        jwt.PyJWK(tokenhouse_issuer.jwks["keys"][0]),
        algorithms=["ES256"],
        audience=tokenhouse_issuer.audience,
        issuer=tokenhouse_issuer.issuer,
    )
    assert decoded == claims.claims


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "https://other.example"}, "for another audience"),
        ({"iss": "https://evil.example"}, "from another issuer"),
        ({"jti": None}, "jti is missing"),
        ({"expires_in_s": -60}, "expired"),
        ({"status": {"status_list": {"idx": 1, "uri": "https://evil.example/1"}}}, "not kept in a list of its issuer"),
        ({"cnf": {"x5t#S256": "A" * 43}}, "not enforced here"),
    ],
)
def test_bad_tokens_are_made_as_easily(
    changes: dict[str, object], reason: str, tokenhouse_issuer: TokenhouseIssuer
) -> None:
    with pytest.raises(InvalidToken, match=reason):
        tokenhouse_issuer.verifier().verify(tokenhouse_issuer.token(**changes))  # type: ignore[arg-type]


def test_the_clock_moves_when_it_is_told_to(tokenhouse_issuer: TokenhouseIssuer) -> None:
    verifier, token = tokenhouse_issuer.verifier(), tokenhouse_issuer.token(expires_in_s=180)
    tokenhouse_issuer.clock.advance(180 + 9)
    assert verifier.verify(token).subject == "alice"
    tokenhouse_issuer.clock.advance(1)
    with pytest.raises(InvalidToken, match="has expired"):
        verifier.verify(token)


def test_a_revoked_token_is_refused_and_another_is_not(tokenhouse_issuer: TokenhouseIssuer) -> None:
    verifier = tokenhouse_issuer.verifier()
    tokens = [tokenhouse_issuer.token() for _ in range(20)]
    for token in tokens:
        verifier.verify(token)
    tokenhouse_issuer.revoke(tokens[7])
    for number, token in enumerate(tokens):
        if number == 7:
            with pytest.raises(InvalidToken, match="has been revoked"):
                verifier.verify(token)
        else:
            verifier.verify(token)
    verifier.verify(tokenhouse_issuer.token())


def test_bound_and_limited_tokens_come_with_what_they_need(tokenhouse_issuer: TokenhouseIssuer) -> None:
    verifier, key = tokenhouse_issuer.verifier(), tokenhouse_issuer.dpop_key()
    token = tokenhouse_issuer.token(dpop_key=key, networks=["10.0.0.0/8"])

    def attempt(prover: DpopKey, peer: str, **changes: str) -> str:
        headers = prover.headers(token, URL)
        request = ResourceRequest(
            authorization=headers["Authorization"], path="/photos", peer=peer, **{"dpop": headers["DPoP"], **changes}
        )
        try:
            verifier.verify_request(request)
        except ProtocolError as error:
            return error.description
        return "accepted"

    assert attempt(key, "10.0.0.7") == "accepted"
    assert "not valid from this network" in attempt(key, "192.0.2.7")
    assert "bound to another key" in attempt(tokenhouse_issuer.dpop_key(), "10.0.0.7")
    assert "another method" in attempt(key, "10.0.0.7", dpop=key.proof(token, URL, method="POST"))
    assert "jti is not a text" in attempt(key, "10.0.0.7", dpop=key.proof(token, URL, jti=None))


def test_an_event_loop_needs_no_network_either(tokenhouse_issuer: TokenhouseIssuer) -> None:
    verifier, token = tokenhouse_issuer.verifier(), tokenhouse_issuer.token()

    async def verify() -> str:
        return (await asyncio.to_thread(verifier.verify, token)).subject

    assert run_async(verify()) == "alice"
