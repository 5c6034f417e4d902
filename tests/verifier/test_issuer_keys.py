"""Where the keys come from, and which answers are not believed."""

import pytest

from app.specs.protocol_error import TemporarilyUnavailable
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


def test_an_explicit_jwks_uri_needs_no_metadata(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier("https://issuer.invalid", jwks_uri=server.jwks_uri)
    assert verifier.verify(_token(key, "https://issuer.invalid", clock)).subject == "alice"
    assert server.requests == {"/keys": 1}


@pytest.mark.parametrize(
    ("path", "metadata_path"),
    [
        ("", "/.well-known/oauth-authorization-server"),
        ("", "/.well-known/openid-configuration"),
        ("/tenant", "/.well-known/oauth-authorization-server/tenant"),
        ("/tenant", "/tenant/.well-known/oauth-authorization-server"),
        ("/tenant", "/tenant/.well-known/openid-configuration"),
        ("/", "/.well-known/openid-configuration"),
        ("/tenant/", "/tenant/.well-known/openid-configuration"),
    ],
)
def test_the_metadata_is_found_at_every_well_known_path(
    path: str, metadata_path: str, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    with IssuerServer(key, path=path, metadata_path=metadata_path) as server:
        verifier = make_verifier(server.issuer)
        assert verifier.verify(_token(key, server.issuer, clock)).issuer == server.issuer


BAD_KEY_SETS = {
    "an error": answer_bytes(b'{"keys":[]}', status=500),
    "a redirect": answer_bytes(b"", status=302, headers={"Location": "/.well-known/openid-configuration"}),
    "no content": answer_bytes(b"", status=204),
    "partial content": answer_bytes(b'{"keys":[]}', status=206),
    "no JSON": answer_bytes(b"<html>"),
    "an array": answer_bytes(b"[]"),
    "no keys": answer_bytes(b"{}"),
    "keys twice": answer_bytes(b'{"keys":[],"keys":[]}'),
    "too large": answer_bytes(b'{"keys":[],"x":"' + b"x" * 300_000 + b'"}'),
    "a body cut short": answer_bytes(b'{"keys":'),
}


@pytest.mark.parametrize("name", BAD_KEY_SETS)
def test_a_bad_answer_leaves_the_old_keys_in_use(
    name: str, server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.answers["/keys"] = BAD_KEY_SETS[name]
    clock.advance(301)
    assert verifier.verify(_token(key, server.issuer, clock)).subject == "alice"
    assert server.jwks_requests == 2


@pytest.mark.parametrize("name", BAD_KEY_SETS)
def test_a_bad_answer_is_no_key_set(
    name: str, server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    server.answers["/keys"] = BAD_KEY_SETS[name]
    with pytest.raises(TemporarilyUnavailable):
        make_verifier(server.issuer).verify(_token(key, server.issuer, clock))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "http://keys.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://[::1"},
        {"jwks_uri": "/keys"},
    ],
    ids=str,
)
def test_metadata_of_another_issuer_or_without_a_usable_address_is_not_used(
    changes: dict[str, object], server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    metadata = {"issuer": server.issuer, "jwks_uri": server.jwks_uri, **changes}
    server.answers["/.well-known/openid-configuration"] = answer_json(metadata)
    with pytest.raises(TemporarilyUnavailable):
        make_verifier(server.issuer).verify(_token(key, server.issuer, clock))
    assert server.jwks_requests == 0


def test_a_key_set_that_moved_is_found_again_through_the_metadata(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    verifier = make_verifier(server.issuer)
    verifier.fetch_keys()
    server.answers["/new-keys"] = server.answers.pop("/keys")
    server.answers["/.well-known/openid-configuration"] = answer_json(
        {"issuer": server.issuer, "jwks_uri": f"{server.origin}/new-keys"}
    )
    clock.advance(301)
    verifier.verify(_token(key, server.issuer, clock))
    clock.advance(60)
    verifier.verify(_token(key, server.issuer, clock))
    wait_for_background_fetches()
    assert server.requests["/new-keys"] == 1
