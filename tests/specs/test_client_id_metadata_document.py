import json
from typing import Any

import pytest

from app.specs.client_id_metadata_document import (
    check_client_id_url,
    digest_identity,
    document_host,
    is_document_url,
    is_json_type,
    parse_client_document,
)
from app.specs.protocol_error import InvalidClientMetadata, InvalidRedirectUri, InvalidRequest
from tests.actors.dpop_key import DpopKey

DRAFT = "draft-ietf-oauth-client-id-metadata-document"
URL = "https://agent.example/client.json"
KEY = DpopKey().public_jwk


def document(**changes: Any) -> bytes:
    members = {"client_id": URL, "client_name": "Agent", "redirect_uris": ["https://agent.example/cb"], **changes}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "client_id",
    [URL, "https://agent.example/", "https://agent.example:8443/a/b", "https://agent.example/c?v=1"],
)
@pytest.mark.requirement(DRAFT, "3", "an https URL with a path is a client identifier, its port and query included")
def test_an_https_url_with_a_path_is_a_client_id(client_id: str) -> None:
    assert is_document_url(client_id)
    check_client_id_url(client_id)


@pytest.mark.parametrize(
    "client_id",
    [
        "https://agent.example",
        "https://agent.example?x=1",
        "https://agent.example/a/../client.json",
        "https://agent.example/./client.json",
        "https://agent.example/%2e%2e/client.json",
        "https://agent.example/%2E/client.json",
        "https://agent.example/..;/client.json",
        "https://agent.example/client.json#fragment",
        "https://agent.example/client.json#",
        "https://user@agent.example/client.json",
        "https://user:word@agent.example/client.json",
        "https://@agent.example/client.json",
        "https://AGENT.example/client.json",
        "https://agent.example:0/client.json",
        "https://2130706433/client.json",
        "https://agent.example\\@evil.example/",
        "https://agent.example/client json",
        "https://agent.example/client.json\n",
        "https:///client.json",
        "https://" + "a" * 2041 + "/",
    ],
)
@pytest.mark.requirement(DRAFT, "3", "no dot segments, no fragment, no user, no password, always a path")
def test_101_a_url_that_two_parsers_could_read_differently_is_no_client_id(client_id: str) -> None:
    with pytest.raises(InvalidRequest, match="the client is not known here"):
        check_client_id_url(client_id)


@pytest.mark.parametrize("client_id", ["HTTPS://agent.example/c", "http://agent.example/c", "client", "ftp://a/b", ""])
def test_what_does_not_begin_with_https_is_a_client_id_like_any_other(client_id: str) -> None:
    assert not is_document_url(client_id)


def test_a_document_is_a_public_client_unless_it_says_how_it_proves_itself() -> None:
    metadata = parse_client_document(document(), client_id=URL)
    assert metadata.token_endpoint_auth_method == "none"
    assert metadata.grant_types == ("authorization_code",)
    signed = parse_client_document(
        document(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY]}), client_id=URL
    )
    assert signed.token_endpoint_auth_method == "private_key_jwt"


def test_what_a_document_says_to_other_servers_is_passed_over() -> None:
    metadata = parse_client_document(
        document(
            grant_types=["authorization_code", "refresh_token", "client_credentials", "urn:x:device"],
            response_types=["code", "code id_token"],
            unknown_member={"a": 1},
            policy={"skip_consent": True},
        ),
        client_id=URL,
    )
    assert metadata.grant_types == ("authorization_code", "refresh_token")
    assert metadata.response_types == ("code",)
    assert not metadata.policy.skip_consent


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "https://agent.example/other.json"},
        {"client_id": "https://AGENT.example/client.json"},
        {"client_id": URL + "?"},
        {"client_id": [URL]},
        {"client_secret": "s" * 43},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "bogus"},
        {"token_endpoint_auth_method": ["none"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "jwks_uri": "https://agent.example/jwks"},
    ],
    ids=str,
)
@pytest.mark.requirement(
    DRAFT, "4.1", "the client_id is the document's URL, and nothing in it rests on a shared secret"
)
def test_101_a_document_that_breaks_a_rule_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidClientMetadata):
        parse_client_document(document(**changes), client_id=URL)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"client_id":1,"client_id":2}', b" " * 6000])
def test_101_what_is_no_json_object_of_five_kilobytes_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidClientMetadata):
        parse_client_document(raw, client_id=URL)


@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "tos_uri", "policy_uri"])
@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "http://agent.example/", "http://localhost/"]
)
def test_100_a_link_that_is_not_https_is_refused(member: str, uri: str) -> None:
    with pytest.raises(InvalidClientMetadata, match=member):
        parse_client_document(document(**{member: uri}), client_id=URL)


@pytest.mark.parametrize(
    "uris", [[], None, ["javascript:alert(1)"], ["http://agent.example/cb"], ["https://a.example/#f"]]
)
def test_101_redirect_uris_obey_the_same_rules_as_registered_ones(uris: list[str] | None) -> None:
    with pytest.raises(InvalidRedirectUri):
        parse_client_document(document(redirect_uris=uris), client_id=URL)


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/oauth-client+json", True),
        ("text/html", False),
        ("text/json", False),
        ("application/jsonp", False),
        (None, False),
    ],
)
def test_only_json_is_json(content_type: str | None, is_json: bool) -> None:
    assert is_json_type(content_type) is is_json


def test_the_host_that_was_verified_is_named_with_an_unusual_port() -> None:
    assert document_host(URL) == "agent.example"
    assert document_host("https://agent.example:8443/c") == "agent.example:8443"


def test_an_identity_changes_with_the_host_to_return_to_and_with_the_keys_and_with_nothing_else() -> None:
    redirect_uri = "https://agent.example/cb"

    def identity(redirect: str = redirect_uri, **changes: Any) -> bytes:
        return digest_identity(parse_client_document(document(**changes), client_id=URL), redirect)

    other = DpopKey().public_jwk
    assert identity() == identity("https://agent.example/other") == identity(client_name="Another")
    assert identity(jwks={"keys": [KEY, other]}) == identity(jwks={"keys": [{**other, "kid": "a"}, KEY]})
    assert (
        len(
            {
                identity(),
                identity("https://b.example/cb"),
                identity(jwks={"keys": [KEY]}),
                identity(jwks={"keys": [other]}),
                identity(jwks_uri="https://agent.example/jwks"),
            }
        )
        == 5
    )
