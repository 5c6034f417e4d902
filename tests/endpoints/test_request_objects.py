"""Request objects by reference, over TLS at the client's host; and what they may leave out under `openid`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.specs.protocol_error import InvalidClientMetadata
from tests.actors.http import send
from tests.actors.request_object import Requester, unsigned
from tests.conftest import run_world
from tests.databases import fresh_database_url
from tests.services.other_host import CertificateAuthority, OtherHost, answer
from tests.world import World

PATH = "/request-object"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherHost]:
    """The client's host."""
    authority = CertificateAuthority(tmp_path_factory.mktemp("authority"))
    with OtherHost(tls=authority.serve("127.0.0.1")) as host:
        host.bundle = authority.bundle  # type: ignore[attr-defined]
        yield host


@pytest.fixture(scope="module")
def openid_world(host: OtherHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server under the profile `openid` that may go to the client's host."""
    directory = tmp_path_factory.mktemp("openid")
    with fresh_database_url("sqlite", directory) as database_url:
        yield from run_world(
            directory,
            database_url,
            rate_limits="off",
            profile="openid",
            outbound_allowed_networks="127.0.0.1/32",
            outbound_ca_bundle=str(host.bundle),  # type: ignore[attr-defined]
        )


def lax(world: World, **metadata: Any) -> Requester:
    """A client to which the profile `openid` applies."""
    return Requester(world, **{"alg": "RS256", "policy": {"security_profile": "openid"}, **metadata})


def serve(host: OtherHost, raw: str, content_type: str = "application/oauth-authz-req+jwt") -> None:
    host.requests.clear()
    host.behaviour = answer(f"Content-Type: {content_type}", body=raw.encode())


def by_reference(requester: Requester, request_uri: str, **beside: str) -> dict[str, str]:
    world, browser, account = requester.world, requester.world.browser(), requester.world.operator.add_user()
    reply = browser.get(requester.url(beside=beside, request_uri=request_uri))
    if 'id="login-form"' in reply.text:
        reply = browser.log_in(reply, account.username, account.password)
    if 'id="consent-form"' in reply.text:
        reply = browser.consent(reply)
    assert world.issuer
    return requester.party.read_answer(reply)


# ----- By reference -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "6.2", "a registered request_uri with a fragment is fetched once")
@pytest.mark.parametrize("content_type", ["application/oauth-authz-req+jwt", "application/jwt", "application/jose"])
def test_a_signed_object_is_fetched_without_the_fragment_of_its_address(
    openid_world: World, host: OtherHost, content_type: str
) -> None:
    request_uri = host.url(f"{PATH}?v=1#not-a-hash", host="127.0.0.1")
    requester = lax(openid_world, request_uris=[request_uri], request_object_signing_alg="RS256")
    pending, claims = requester.begin()
    serve(host, requester.key.sign(claims), content_type)
    assert by_reference(requester, request_uri, response_type="code", scope="openid")["state"] == pending.state
    assert len(host.requests) == 1
    assert host.requests[0].startswith(f"GET {PATH}?v=1 HTTP/1.1\r\n".encode())


@pytest.mark.requirement("RFC 9101", "5.2", "a strict client's object is fetched as well")
def test_a_strict_clients_object_is_fetched_on_a_lax_server(openid_world: World, host: OtherHost) -> None:
    request_uri = host.url(PATH, host="127.0.0.1")
    requester = Requester(openid_world, request_uris=[request_uri])
    pending, claims = requester.begin()
    serve(host, requester.key.sign(claims) + "\n")
    assert by_reference(requester, request_uri)["state"] == pending.state
    serve(host, unsigned(json.dumps(claims).encode()))
    beside = {"redirect_uri": requester.party.redirect_uri}
    assert by_reference(requester, request_uri, **beside)["error"] == "invalid_request_object"


@pytest.mark.requirement("RFC 9101", "7", "invalid_request_uri and invalid_request_object are told apart")
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (answer(status="404 Not Found"), "invalid_request_uri"),
        (answer("Location: https://127.0.0.1/", status="302 Found"), "invalid_request_uri"),
        (answer(body=b"x" * 40_000), "invalid_request_uri"),
        (answer(body=b"\xff\xfe"), "invalid_request_uri"),
        (b"", "invalid_request_uri"),
        (answer(body=b"<html>"), "invalid_request_object"),
        (answer(body=b""), "invalid_request_object"),
    ],
)
def test_what_is_no_object_at_the_address_is_refused(
    openid_world: World, host: OtherHost, behaviour: bytes, error: str
) -> None:
    request_uri = host.url(PATH, host="127.0.0.1")
    requester = lax(openid_world, request_uris=[request_uri])
    host.behaviour = behaviour
    beside = {"redirect_uri": requester.party.redirect_uri, "response_type": "code", "scope": "openid"}
    assert by_reference(requester, request_uri, **beside)["error"] == error


def test_a_host_that_hangs_is_left_alone_for_a_moment_and_holds_up_nobody_else(
    openid_world: World, host: OtherHost
) -> None:
    hanging = host.url("/hangs", host="127.0.0.1")
    requester, other = lax(openid_world, request_uris=[hanging]), lax(openid_world, request_uris=[hanging])
    beside = {"redirect_uri": requester.party.redirect_uri, "response_type": "code", "scope": "openid"}
    host.behaviour = lambda _connection, over: over.wait(20)
    before = host.connections
    errors = [by_reference(requester, hanging, **beside)["error"] for _ in range(3)]
    assert errors == ["invalid_request_uri"] * 3
    assert host.connections == before + 1
    pending, claims = other.begin()
    serve(host, other.key.sign(claims))
    assert by_reference(other, hanging, response_type="code", scope="openid")["state"] == pending.state


def test_97_an_address_within_is_not_reached_unless_the_operator_allows_it(world: World, host: OtherHost) -> None:
    """Case 97 for request_uri: the shared server has no allowed networks."""
    request_uri = host.url(PATH, host="127.0.0.1")
    requester = Requester(world, request_uris=[request_uri])
    before = host.connections
    answered = by_reference(requester, request_uri, redirect_uri=requester.party.redirect_uri)
    assert answered["error"] == "invalid_request_uri"
    assert "127.0.0.1" not in answered["error_description"]
    assert host.connections == before


# ----- What the profile `openid` leaves open -----


@pytest.mark.requirement("OpenID Connect Core 1.0", "6.1", "an unsigned object is accepted where it may be sent")
@pytest.mark.parametrize("registered", [None, "none"])
def test_an_unsigned_object_is_obeyed(openid_world: World, host: OtherHost, registered: str | None) -> None:
    """By value and by reference, as the conformance suite sends it: without iss, aud and exp."""
    request_uri = host.url(f"{PATH}#{registered}", host="127.0.0.1")
    requester = lax(openid_world, request_object_signing_alg=registered, request_uris=[request_uri])
    pending, _ = requester.begin()
    raw = unsigned(json.dumps(pending.parameters).encode())
    beside = {"response_type": "code", "scope": "openid", "redirect_uri": "https://evil.example/cb"}
    # OpenID Connect Core 6.1: the redirect URI within wins.
    reply = requester.send(raw, beside=beside)
    assert "login?" in reply.location
    serve(host, raw)
    assert by_reference(requester, request_uri, response_type="code", scope="openid")["state"] == pending.state


@pytest.mark.parametrize(
    "metadata",
    [
        {"request_object_signing_alg": "RS256"},
        {"require_signed_request_object": True},
        {"policy": {"security_profile": "oauth21"}},
        {"policy": {}},
    ],
    ids=str,
)
def test_an_unsigned_object_is_refused_where_the_client_or_its_profile_says_more(
    openid_world: World, metadata: dict[str, Any]
) -> None:
    requester = lax(openid_world, **metadata)
    _, claims = requester.begin()
    beside = {"redirect_uri": requester.party.redirect_uri, "scope": "openid", "response_type": "code"}
    reply = requester.send(unsigned(json.dumps(claims).encode()), beside=beside)
    assert requester.party.read_answer(reply)["error"] == "invalid_request_object"


@pytest.mark.parametrize(
    "metadata",
    [
        {"request_object_signing_alg": "none"},
        {"request_object_signing_alg": "none", "policy": {"security_profile": "oauth21"}},
        {"request_object_encryption_alg": "RSA1_5"},
        {"request_object_encryption_alg": "RSA-OAEP"},
        {"require_signed_request_object": True},
        {"request_uris": ["http://rp.example/ro"]},
        {"request_uris": ["https://user@rp.example/ro"]},
    ],
    ids=str,
)
def test_a_client_registers_only_what_it_could_do(openid_world: World, metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidClientMetadata):
        openid_world.operator.add_client(**metadata)


def test_parameters_beside_the_object_complete_it(openid_world: World) -> None:
    requester = lax(openid_world)
    pending = requester.party.begin()
    inner = {"scope": "openid", "nonce": pending.nonce}
    raw = requester.key.sign(inner)
    reply = requester.send(raw, beside={**pending.parameters, "nonce": "another", "scope": "openid phone"})
    assert "login?" in reply.location


@pytest.mark.requirement("OpenID Connect Core 1.0", "6.1", "response_type and client_id must match those beside")
def test_who_must_sign_gets_nothing_added_on_the_way(openid_world: World) -> None:
    requester = lax(openid_world, require_signed_request_object=True)
    _, claims = requester.begin(prompt="none")
    raw = requester.key.sign(claims)
    reply = requester.send(raw, beside={"response_mode": "fragment", "claims": '{"userinfo": {"email": null}}'})
    assert requester.party.read_answer(reply, mode="query")["error"] == "login_required"


@pytest.mark.parametrize("changes", [{"response_type": "token"}, {"client_id": "another"}])
def test_what_contradicts_the_object_is_refused(openid_world: World, changes: dict[str, str]) -> None:
    requester = lax(openid_world)
    pending, claims = requester.begin(**changes)
    reply = requester.send(requester.key.sign(claims), beside=pending.parameters)
    assert requester.party.read_answer(reply)["error"] == "invalid_request_object"


def test_pkce_and_nonce_may_be_missing(openid_world: World) -> None:
    """OpenID Connect Core has both optional for a confidential client that uses the code flow."""
    account, party = openid_world.operator.add_user(), lax(openid_world).party
    without = {"nonce": None, "code_challenge": None, "code_challenge_method": None}
    code, pending = openid_world.get_code(party, account, **without)
    reply = party.try_exchange(code, pending, code_verifier=None)
    assert reply.status == 200, reply.text
    public = openid_world.relying_party(token_endpoint_auth_method="none", policy={"security_profile": "openid"})
    refused = send(openid_world.url + public.begin(**without).url.removeprefix(openid_world.issuer))
    assert public.read_answer(refused)["error"] == "invalid_request"


# ----- What is published -----


@pytest.mark.requirement("OpenID Connect Discovery 1.0", "3", "what is supported of request objects is published")
def test_the_metadata_says_none_under_the_profile_that_has_it(world: World, openid_world: World) -> None:
    strict, loose = (send(f"{each.url}/.well-known/openid-configuration").json() for each in (world, openid_world))
    assert strict["request_object_signing_alg_values_supported"] == ["RS256", "PS256", "ES256"]
    assert loose["request_object_signing_alg_values_supported"] == ["RS256", "PS256", "ES256", "none"]
    for document in (strict, loose):
        assert document["request_parameter_supported"] is True
        assert document["request_uri_parameter_supported"] is True
        assert document["require_request_uri_registration"] is True
        assert document["request_object_encryption_alg_values_supported"] == ["RSA-OAEP-256", "ECDH-ES"]
