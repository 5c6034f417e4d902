import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.specs.protocol_error import InvalidClientMetadata, InvalidRedirectUri, InvalidRequest, ProtocolError
from app.specs.resource_metadata import parse_resource_metadata
from app.specs.rfc7591_metadata import (
    OPERATOR_ONLY_MEMBERS,
    ClientMetadata,
    ClientPolicy,
    find_sector,
    parse_client_metadata,
)

SECRET = "s" * 42 + "!"
PUBLIC_TEXT = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def client(**members: Any) -> ClientMetadata:
    return parse_client_metadata({"redirect_uris": ["https://rp.example/cb"], **members})


def resource(**members: Any) -> dict[str, Any]:
    return parse_resource_metadata({"resource": "https://api.example/photos", **members}).to_document()


def refused(error: type[ProtocolError], **members: Any) -> str:
    with pytest.raises(error) as refusal:
        client(**members)
    assert type(refusal.value) is error
    assert PUBLIC_TEXT.fullmatch(refusal.value.description)
    return refusal.value.description


# ----- Clients -----


@pytest.mark.requirement("RFC 7591", "3.1", "the example of a registration request")
def test_the_example_of_section_3_1_is_read_and_unknown_members_are_ignored() -> None:
    metadata = parse_client_metadata(
        {
            "redirect_uris": ["https://client.example.org/callback", "https://client.example.org/callback2"],
            "client_name": "My Example Client",
            "client_name#ja-Jpan-JP": "\u30af\u30e9\u30a4\u30a2\u30f3\u30c8\u540d",
            "token_endpoint_auth_method": "client_secret_basic",
            "logo_uri": "https://client.example.org/logo.png",
            "jwks_uri": "https://client.example.org/my_public_keys.jwks",
            "example_extension_parameter": "example_value",
        }
    )
    assert metadata.redirect_uris == ("https://client.example.org/callback", "https://client.example.org/callback2")
    assert metadata.client_name == "My Example Client"
    assert metadata.to_document()["client_name#ja-Jpan-JP"] == "\u30af\u30e9\u30a4\u30a2\u30f3\u30c8\u540d"
    assert "example_extension_parameter" not in metadata.to_document()


@pytest.mark.requirement("RFC 7591", "2", "the defaults of omitted members")
def test_omitted_members_have_the_defaults_of_the_specifications() -> None:
    metadata = client()
    assert metadata.token_endpoint_auth_method == "client_secret_basic"
    assert metadata.grant_types == ("authorization_code",)
    assert metadata.response_types == ("code",)
    assert metadata.application_type == "web"
    assert metadata.id_token_signed_response_alg == "RS256"
    assert metadata.require_auth_time is False
    assert metadata.default_max_age is None
    assert metadata.scope is None
    assert metadata.policy == ClientPolicy()


FULL_CLIENT = {
    "client_id": "photo-prints",
    "redirect_uris": ["https://rp.example/cb"],
    "token_endpoint_auth_method": "client_secret_post",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "application_type": "web",
    "client_name": "Drucke für Ömer",
    "client_uri": "https://rp.example/",
    "logo_uri": "https://rp.example/logo.png",
    "tos_uri": "https://rp.example/tos",
    "policy_uri": "https://rp.example/policy",
    "contacts": ["ops@rp.example"],
    "scope": "openid photos.read",
    "id_token_signed_response_alg": "ES256",
    "introspection_signed_response_alg": "ES256",
    "default_max_age": 0,
    "require_auth_time": True,
    "dpop_bound_access_tokens": True,
    "default_acr_values": ["phr"],
    "jwks_uri": "https://rp.example/jwks",
    "token_endpoint_auth_signing_alg": "ES256",
    "subject_type": "pairwise",
    "sector_identifier_uri": "https://rp.example/sector",
    "id_token_encrypted_response_alg": "RSA-OAEP-256",
    "id_token_encrypted_response_enc": "A128GCM",
    "userinfo_signed_response_alg": "RS256",
    "userinfo_encrypted_response_alg": "ECDH-ES",
    "userinfo_encrypted_response_enc": "A256GCM",
    "request_object_signing_alg": "PS256",
    "request_object_encryption_alg": "RSA-OAEP-256",
    "request_object_encryption_enc": "A128CBC-HS256",
    "require_signed_request_object": True,
    "request_uris": ["https://rp.example/request#1"],
    "initiate_login_uri": "https://rp.example/login",
    "post_logout_redirect_uris": ["https://rp.example/bye"],
    "backchannel_logout_uri": "https://rp.example/ended",
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": "https://rp.example/leave",
    "frontchannel_logout_session_required": True,
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.1",
    "policy": {
        "access_token_lifetime_s": 180,
        "resources": ["https://api.example/photos"],
        "token_exchange_audiences": [
            {"resource": "https://api.example/photos"},
            {"resource": "https://api.example/prints", "scopes": ["prints.read"]},
        ],
        "introspects": ["https://api.example/photos"],
        "skip_consent": True,
        "rotate_refresh_tokens": False,
        "security_profile": "openid",
    },
}


def test_a_full_document_is_read_and_written_back_the_same() -> None:
    assert parse_client_metadata(FULL_CLIENT).to_document() == FULL_CLIENT


@pytest.mark.parametrize(
    "members",
    [
        {"jwks": {"keys": []}, "jwks_uri": "https://rp.example/jwks"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": {}}},
        {"id_token_encrypted_response_alg": "RSA-OAEP"},
        {"userinfo_encrypted_response_alg": "RSA1_5", "jwks": {"keys": []}},
        {"userinfo_encrypted_response_enc": "A128GCM"},
        {"token_endpoint_auth_signing_alg": "RS256", "token_endpoint_auth_method": "client_secret_jwt"},
        {"require_signed_request_object": True, "request_object_signing_alg": "none"},
        {"jwks_uri": "http://rp.example/jwks"},
        {"jwks_uri": "https://user@rp.example/jwks"},
        {"sector_identifier_uri": "file:///etc/passwd"},
        {"initiate_login_uri": "http://rp.example/login"},
        {"post_logout_redirect_uris": ["javascript:alert(1)"]},
        {"post_logout_redirect_uris": ["https://rp.example/bye#x"]},
        {"backchannel_logout_uri": "https://rp.example/ended#x"},
        {"frontchannel_logout_uri": "https://other.example/leave"},
        {"frontchannel_logout_uri": "https://rp.example:8443/leave"},
        {"subject_type": "private"},
    ],
)
def test_members_that_contradict_each_other_or_lead_astray_are_refused(members: dict[str, Any]) -> None:
    assert refused(InvalidClientMetadata, **members)


@pytest.mark.parametrize("document", [FULL_CLIENT, {"redirect_uris": ["com.example.app:/cb"]}])
def test_a_written_document_parses_to_an_equal_model(document: Mapping[str, Any]) -> None:
    metadata = parse_client_metadata(document)
    assert parse_client_metadata(metadata.to_document()) == metadata


@pytest.mark.requirement("RFC 7591", "2.1", "grant types and response types do not contradict each other")
def test_a_client_that_sends_nobody_here_needs_no_redirect_uri_and_has_no_response_type() -> None:
    metadata = parse_client_metadata({"grant_types": ["client_credentials"]})
    assert (metadata.redirect_uris, metadata.response_types) == ((), ())
    assert parse_client_metadata(metadata.to_document()) == metadata
    with pytest.raises(InvalidRedirectUri):
        parse_client_metadata({"grant_types": ["client_credentials", "authorization_code"]})
    assert "contradicts" in refused(InvalidClientMetadata, grant_types=["client_credentials"], response_types=["code"])
    assert "contradicts" in refused(InvalidClientMetadata, response_types=[])


@pytest.mark.requirement("RFC 6749", "4.4", "MUST only be used by confidential clients")
def test_a_public_client_does_not_act_for_itself() -> None:
    members = {"grant_types": ["client_credentials", "authorization_code"], "token_endpoint_auth_method": "none"}
    assert "contradicts" in refused(InvalidClientMetadata, **members)


def test_null_members_are_absent_members() -> None:
    assert client(client_name=None, grant_types=None, policy=None) == client()


def test_a_chosen_secret_is_kept_out_of_documents_and_representations() -> None:
    metadata = client(client_secret=SECRET)
    assert metadata.client_secret is not None
    assert metadata.client_secret.get_secret_value() == SECRET
    assert SECRET not in repr(metadata)
    assert SECRET not in str(metadata.to_document())


@pytest.mark.parametrize("secret", ["", "s" * 42, "s" * 513, "s" * 42 + " ", "s" * 42 + "é", "s" * 43 + "\n", 5])
def test_a_chosen_secret_is_long_and_printable_or_refused_without_being_repeated(secret: object) -> None:
    description = refused(InvalidClientMetadata, client_secret=secret)
    assert description.startswith("client_secret")
    assert "sss" not in description


def test_the_refusal_of_another_member_does_not_carry_the_secret() -> None:
    with pytest.raises(InvalidClientMetadata) as refusal:
        client(client_secret=SECRET, application_type="toaster")
    assert refusal.value.__cause__ is None
    assert SECRET not in f"{refusal.value!r} {refusal.value.description} {refusal.value.detail}"


def test_a_public_client_has_no_secret() -> None:
    assert client(token_endpoint_auth_method="none").client_secret is None
    assert "contradicts" in refused(InvalidClientMetadata, token_endpoint_auth_method="none", client_secret=SECRET)


@pytest.mark.parametrize("client_id", ["a", "https://rp.example/client.json", "A" * 2048, "u" + "a" * 25, "a:b"])
def test_a_chosen_client_id_is_printable_text(client_id: str) -> None:
    assert client(client_id=client_id).client_id == client_id


@pytest.mark.parametrize(
    "client_id", ["", "a b", "a\n", "é", "A" * 2049, "u" + "abcdefghijklmnopqrstuvwx23", "u" + "A" * 26, 7]
)
def test_a_client_id_that_is_odd_or_looks_like_a_subject_is_refused(client_id: object) -> None:
    assert refused(InvalidClientMetadata, client_id=client_id).startswith("client_id")


@pytest.mark.requirement("RFC 7591", "3.2.2", "invalid_redirect_uri: one or more redirection URIs are invalid")
@pytest.mark.parametrize(
    "redirect_uris",
    [
        None,
        [],
        "https://rp.example/cb",
        [5],
        [None],
        {"0": "https://rp.example/cb"},
        ["https://rp.example/cb", "http://rp.example/cb"],
        ["javascript:alert(1)"],
        ["https://rp.example/cb#frag"],
        ["urn:ietf:wg:oauth:2.0:oob"],
        [f"https://rp.example/{number}" for number in range(21)],
    ],
)
def test_bad_redirect_uris_are_invalid_redirect_uri(redirect_uris: object) -> None:
    refused(InvalidRedirectUri, redirect_uris=redirect_uris)


def test_repeated_redirect_uris_are_kept_once() -> None:
    uris = ["https://rp.example/b", "https://rp.example/a", "https://rp.example/b"]
    assert client(redirect_uris=uris).redirect_uris == ("https://rp.example/b", "https://rp.example/a")


def test_a_private_use_scheme_makes_a_client_native_unless_it_says_web() -> None:
    assert client(redirect_uris=["com.example.app:/cb"]).application_type == "native"
    assert client(redirect_uris=["http://127.0.0.1/cb"]).application_type == "web"
    assert "native" in refused(InvalidRedirectUri, redirect_uris=["com.example.app:/cb"], application_type="web")


@pytest.mark.parametrize(
    "members",
    [
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": "NONE"},
        {"token_endpoint_auth_method": ["none"]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["refresh_token"], "response_types": []},
        {"policy": {"rotate_refresh_tokens": False}, "token_endpoint_auth_method": "none"},
        {"grant_types": ["authorization_code", "password"]},
        {"grant_types": []},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"response_types": ["code id_token"]},
        {"application_type": "desktop"},
        {"id_token_signed_response_alg": "none"},
        {"id_token_signed_response_alg": "HS256"},
        {"client_name": ""},
        {"client_name": " "},
        {"client_name": "x" * 201},
        {"client_name": "Bank\u202egro.live"},
        {"client_name": "Bank\u200b"},
        {"client_name": "Bank\x00"},
        {"client_name": "Bank\nTrusted"},
        {"client_name": ["Bank"]},
        {"scope": 'a"b'},
        {"scope": "a  b"},
        {"scope": ["openid"]},
        {"contacts": ["a\r\nb"]},
        {"contacts": "ops@rp.example"},
        {"default_max_age": -1},
        {"default_max_age": 2**31},
        {"default_max_age": "60"},
        {"default_max_age": 1.0},
        {"default_max_age": True},
        {"require_auth_time": "true"},
        {"require_auth_time": 1},
        {"default_acr_values": [1]},
    ],
)
def test_a_member_of_a_wrong_type_or_value_is_invalid_client_metadata(members: dict[str, Any]) -> None:
    assert refused(InvalidClientMetadata, **members).startswith(next(iter(members)))


@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "tos_uri", "policy_uri"])
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:image/png;base64,AA",
        "http://rp.example/logo.png",
        "file:///etc/passwd",
        "https://u:p@rp.example/",
        "https://RP.example/",
        "https://127.1/",
        "/logo.png",
        "com.example.app:/x",
        5,
    ],
)
def test_a_page_or_logo_of_a_client_is_https(member: str, uri: object) -> None:
    assert refused(InvalidClientMetadata, **{member: uri}).startswith(member)


def test_a_page_of_a_client_may_be_http_on_this_device() -> None:
    assert client(client_uri="http://localhost:8001/").client_uri == "http://localhost:8001/"


@pytest.mark.parametrize(
    "policy",
    [
        {"unknown": 1},
        {"networks": ["192.0.2.1/24"]},
        {"networks": []},
        {"access_token_lifetime_s": 0},
        {"access_token_lifetime_s": 3601},
        {"access_token_lifetime_s": "300"},
        {"access_token_lifetime_s": True},
        {"resources": ["photos"]},
        {"resources": "https://api.example"},
        {"skip_consent": "yes"},
        {"security_profile": "lax"},
        [],
        "skip_consent",
    ],
)
def test_a_policy_that_is_not_understood_is_refused_and_not_ignored(policy: object) -> None:
    assert refused(InvalidClientMetadata, policy=policy).startswith("policy")


def test_what_a_client_must_not_set_itself_is_named() -> None:
    assert sorted(OPERATOR_ONLY_MEMBERS) == ["client_id", "client_secret", "policy"]
    assert all(member in ClientMetadata.model_fields for member in OPERATOR_ONLY_MEMBERS)


@pytest.mark.parametrize("member", ["trusted", "skip_consent", "roles", "client_secret_expires_at", "networks"])
def test_privileges_outside_of_policy_are_ignored(member: str) -> None:
    assert client(**{member: True}) == client()


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        client().policy.skip_consent = True


def test_a_refusal_names_the_place_and_hides_what_is_not_public_text() -> None:
    assert refused(InvalidClientMetadata, contacts=["a", "\n"]).startswith("contacts[1]: must be visible text")
    assert refused(InvalidClientMetadata, policy={'"\\é\n': 1}) == "policy.????: is not a known member"


@given(st.dictionaries(st.sampled_from([*ClientMetadata.model_fields, "x"]), JSON_VALUES))
def test_any_json_object_is_a_client_or_a_readable_refusal(members: dict[str, Any]) -> None:
    document = {"redirect_uris": ["https://rp.example/cb"], **members}
    try:
        metadata = parse_client_metadata(document)
    except (InvalidClientMetadata, InvalidRedirectUri) as caught:
        description = caught.description
    else:
        description = "accepted"
        assert parse_client_metadata(metadata.to_document()) == metadata.model_copy(update={"client_secret": None})
    assert PUBLIC_TEXT.fullmatch(description)


# ----- Resources -----


def test_a_resource_has_es256_jwts_that_live_as_long_as_the_server_says_by_default() -> None:
    assert resource() == {
        "resource": "https://api.example/photos",
        "aliases": [],
        "scopes": [],
        "access_token_format": "jwt",
        "signing_alg": "ES256",
        "enforces": [],
        "subject_type": "public",
    }


def test_a_full_resource_is_read_and_written_back_the_same() -> None:
    document = {
        "resource": "https://api.example/photos",
        "aliases": ["urn:example:photos"],
        "resource_name": "Photo library",
        "scopes": [
            {"name": "photos.read", "description": "See your photos", "required": True},
            {"name": "photos.write", "description": "Add and delete photos", "required": False},
        ],
        "access_token_lifetime_s": 180,
        "access_token_format": "jwt",
        "signing_alg": "RS256",
        "networks": ["192.0.2.0/24"],
        "enforces": ["status", "networks"],
        "subject_type": "public",
    }
    assert parse_resource_metadata(document).to_document() == document


@pytest.mark.parametrize(
    ("identifier", "other"),
    [("https://api.example", "https://api.example/"), ("https://api.example/", "https://api.example")],
)
def test_an_origin_is_known_with_and_without_its_slash(identifier: str, other: str) -> None:
    metadata = parse_resource_metadata({"resource": identifier, "aliases": ["urn:x:y"]})
    assert metadata.aliases == ("urn:x:y", other)
    assert parse_resource_metadata(metadata.to_document()) == metadata


@pytest.mark.parametrize(
    "members",
    [
        {"resource": "https://api.example/#x"},
        {"resource": "photos"},
        {"resource": 5},
        {"resource": None},
        {"aliases": ["photos"]},
        {"aliases": "urn:x:y"},
        {"aliases": ["https://api.example/photos"]},
        {"aliases": ["urn:x:y", "urn:x:y"]},
        {"scopes": ["read"]},
        {"scopes": [{"name": "read"}]},
        {"scopes": [{"name": "read", "description": ""}]},
        {"scopes": [{"name": "read", "description": "x\u202ey"}]},
        {"scopes": [{"name": "a b", "description": "x"}]},
        {"scopes": [{"name": "email", "description": "x"}]},
        {"scopes": [{"name": "openid", "description": "x"}]},
        {"scopes": [{"name": "read", "description": "x", "required": 1}]},
        {"scopes": [{"name": "read", "description": "x", "requried": True}]},
        {"scopes": [{"name": "read", "description": "x"}, {"name": "read", "description": "y"}]},
        {"access_token_lifetime_s": 0},
        {"access_token_lifetime_s": 3601},
        {"access_token_format": "handle"},
        {"signing_alg": "HS256"},
        {"signing_alg": "none"},
        {"networks": ["192.0.2.0/24"]},
        {"enforces": ["time"]},
    ],
)
def test_a_resource_that_is_not_understood_is_refused_and_not_ignored(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        resource(**members)
    assert PUBLIC_TEXT.fullmatch(refusal.value.description)


@given(st.dictionaries(st.sampled_from(["resource", "aliases", "scopes", "resource_name", "signing_alg"]), JSON_VALUES))
def test_any_json_object_is_a_resource_or_a_readable_refusal(members: dict[str, Any]) -> None:
    try:
        metadata = parse_resource_metadata({"resource": "https://api.example", **members})
    except InvalidRequest as caught:
        description = caught.description
    else:
        description = "accepted"
        assert parse_resource_metadata(metadata.to_document()) == metadata
    assert PUBLIC_TEXT.fullmatch(description)


# ----- Sectors -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("OpenID Connect Registration 1.0", "5", "several hosts need a sector_identifier_uri")
def test_a_pairwise_client_has_one_sector() -> None:
    document = {"subject_type": "pairwise", "redirect_uris": ["https://a.example/cb", "https://a.example:8443/other"]}
    assert find_sector(parse_client_metadata(document)) == "a.example"
    several = {**document, "redirect_uris": ["https://a.example/cb", "https://b.example/cb"]}
    for ambiguous in (several, {**document, "redirect_uris": ["com.example.app:/cb"]}):
        with pytest.raises(InvalidClientMetadata, match="sector_identifier_uri"):
            parse_client_metadata(ambiguous)
        decided = parse_client_metadata({**ambiguous, "sector_identifier_uri": "https://sector.example/uris"})
        assert find_sector(decided) == "sector.example"


@pytest.mark.parametrize("uri", ["com.evil.app://rp.example/cb", "http://127.0.0.1/cb", "http://localhost:8080/cb"])
def test_what_is_no_web_host_is_no_sector(uri: str) -> None:
    metadata = parse_client_metadata({"redirect_uris": [uri], "application_type": "native"})
    assert find_sector(metadata) is None


def test_a_web_host_is_a_sector() -> None:
    assert find_sector(parse_client_metadata({"redirect_uris": ["https://rp.example/cb"]})) == "rp.example"
