"""The server's metadata: a merge of fragments, one per specification; what is not switched on has no fragment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.features import PROFILES, ProfileRules
from app.services.deployment import Deployment
from app.services.validate_authorization_request import SUPPORTED_IDENTITY_SCOPES
from app.settings import UI_LANGUAGES
from app.specs.oauth_response_modes import RESPONSE_MODES
from app.specs.oidc_core import SCOPE_CLAIMS
from app.specs.rfc7516_jwe import CONTENT_ENCRYPTIONS
from app.specs.rfc7517_jwk import ENCRYPTION_ALGORITHMS
from app.specs.rfc7523_client_assertion import MAC_ALGORITHM, SIGNATURE_ALGORITHMS
from app.specs.rfc8414_metadata import endpoint_url, merge_fragments
from app.specs.rfc8693_token_exchange import GRANT_TYPE as TOKEN_EXCHANGE
from app.specs.rfc9101_request_objects import SIGNING_ALGORITHMS as REQUEST_OBJECT_ALGORITHMS
from app.specs.rfc9449_dpop import PROOF_ALGORITHMS
from app.storage.signing_keys import DECRYPTION_ALGORITHMS

PROTOCOL_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid")
"""What an ID token says of itself and of the login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A public document, ready to be served from memory."""

    body: bytes
    etag: str


def publish_metadata(deployment: Deployment) -> Document:
    """The one document that both well-known locations serve (RFC 8414, OpenID Connect Discovery 1.0)."""
    issuer = deployment.issuer
    fragments: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("authorization_code", authorization_code_fragment(issuer)),
        ("response_modes", response_modes_fragment()),
        ("request_objects", request_objects_fragment(PROFILES[deployment.profile])),
        ("refresh_tokens", refresh_token_fragment()),
        ("token_exchange", token_exchange_fragment()),
        ("authorization_code", pkce_fragment()),
        ("authorization_code", client_authentication_fragment(deployment)),
        ("authorization_code", issuer_identification_fragment()),
        ("client_credentials", client_credentials_fragment()),
        ("token_revocation", revocation_fragment(deployment)),
        ("token_introspection", introspection_fragment(deployment)),
        ("resource_indicators", scopes_fragment(deployment)),
        ("authorization_details", authorization_details_fragment(deployment)),
        ("openid", openid_fragment(deployment)),
        ("session_management", session_management_fragment(issuer)),
        ("step_up", step_up_fragment(deployment)),
        ("dpop", dpop_fragment()),
        ("token_status_lists", status_list_fragment(issuer)),
        ("client_registration", registration_fragment(issuer)),
        ("client_id_metadata_documents", client_document_fragment()),
        ("rp_initiated_logout", rp_initiated_logout_fragment(issuer)),
        ("backchannel_logout", backchannel_logout_fragment()),
        ("frontchannel_logout", frontchannel_logout_fragment()),
    )
    enabled = deployment.settings.feature_names
    body = orjson.dumps(merge_fragments(issuer, *(fragment for name, fragment in fragments if name in enabled)))
    return Document(body=body, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def authorization_code_fragment(issuer: str) -> Mapping[str, Any]:
    """RFC 6749, RFC 8414 2."""
    return {
        "authorization_endpoint": endpoint_url(issuer, "/authorize"),
        "token_endpoint": endpoint_url(issuer, "/token"),
        "jwks_uri": endpoint_url(issuer, "/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
    }


def response_modes_fragment() -> Mapping[str, Any]:
    """OAuth 2.0 Multiple Response Types and OAuth 2.0 Form Post Response Mode, through RFC 8414 2."""
    return {"response_modes_supported": list(RESPONSE_MODES)}


def request_objects_fragment(rules: ProfileRules) -> Mapping[str, Any]:
    """OpenID Connect Discovery 1.0, section 3, and RFC 9101 10.5."""
    unsigned = ("none",) if rules.unsigned_request_objects else ()
    return {
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "require_signed_request_object": False,
        "request_object_signing_alg_values_supported": [*REQUEST_OBJECT_ALGORITHMS, *unsigned],
        "request_object_encryption_alg_values_supported": list(DECRYPTION_ALGORITHMS),
        "request_object_encryption_enc_values_supported": list(CONTENT_ENCRYPTIONS),
    }


def refresh_token_fragment() -> Mapping[str, Any]:
    """RFC 6749 6, OpenID Connect Core 11."""
    return {"grant_types_supported": ["refresh_token"], "scopes_supported": ["offline_access"]}


def client_credentials_fragment() -> Mapping[str, Any]:
    """RFC 6749 4.4, RFC 8414 2."""
    return {"grant_types_supported": ["client_credentials"]}


def token_exchange_fragment() -> Mapping[str, Any]:
    """RFC 8693 through RFC 8414 2."""
    return {"grant_types_supported": [TOKEN_EXCHANGE]}


def pkce_fragment() -> Mapping[str, Any]:
    """RFC 7636 through RFC 8414 2."""
    return {"code_challenge_methods_supported": ["S256"]}


def client_authentication_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """RFC 8414 2."""
    return _authentication(deployment, "token", [*_confidential_methods(deployment), "none"])


def revocation_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """RFC 7009 through RFC 8414 2."""
    return {
        "revocation_endpoint": endpoint_url(deployment.issuer, "/revoke"),
        **_authentication(deployment, "revocation", [*_confidential_methods(deployment), "none"]),
    }


def _confidential_methods(deployment: Deployment) -> list[str]:
    by_secret = ["client_secret_basic", "client_secret_post"]
    if "client_assertions" not in deployment.settings.feature_names:
        return by_secret
    by_mac = ["client_secret_jwt"] if deployment.settings.seals_client_secrets else []
    return [*by_secret, *by_mac, "private_key_jwt"]


def _authentication(deployment: Deployment, endpoint: str, methods: list[str]) -> Mapping[str, Any]:
    """How clients authenticate themselves at an endpoint: one function does it for all."""
    if "client_assertions" not in deployment.settings.feature_names:
        return {f"{endpoint}_endpoint_auth_methods_supported": methods}
    by_mac = [MAC_ALGORITHM] if deployment.settings.seals_client_secrets else []
    return {
        f"{endpoint}_endpoint_auth_methods_supported": methods,
        f"{endpoint}_endpoint_auth_signing_alg_values_supported": [*SIGNATURE_ALGORITHMS, *by_mac],
    }


def introspection_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """RFC 7662 through RFC 8414 2, RFC 9701 7."""
    return {
        "introspection_endpoint": endpoint_url(deployment.issuer, "/introspect"),
        **_authentication(deployment, "introspection", _confidential_methods(deployment)),
        "introspection_signing_alg_values_supported": ["RS256", "ES256"],
    }


def issuer_identification_fragment() -> Mapping[str, Any]:
    """RFC 9207 3."""
    return {"authorization_response_iss_parameter_supported": True}


def client_document_fragment() -> Mapping[str, Any]:
    """draft-ietf-oauth-client-id-metadata-document 6."""
    return {"client_id_metadata_document_supported": True}


def status_list_fragment(issuer: str) -> Mapping[str, Any]:
    """draft-ietf-oauth-status-list 9.1."""
    return {"status_list_aggregation_endpoint": endpoint_url(issuer, "/status-lists")}


def registration_fragment(issuer: str) -> Mapping[str, Any]:
    """RFC 7591 through RFC 8414 2."""
    return {"registration_endpoint": endpoint_url(issuer, "/register")}


def scopes_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """The scopes of every registered API."""
    names = {name for resource in deployment.registry.resources().all for name in resource.descriptions}
    return {"scopes_supported": sorted(names)}


def authorization_details_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """RFC 9396 10: every registered type; RFC 8414 3.2: an empty list MUST be omitted."""
    types = sorted(deployment.registry.details_types().by_name)
    return {"authorization_details_types_supported": types} if types else {}


def openid_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """OpenID Connect Discovery 1.0, section 3."""
    claims = sorted({name for names in SCOPE_CLAIMS.values() for name in names})
    return {
        "userinfo_endpoint": endpoint_url(deployment.issuer, "/userinfo"),
        "scopes_supported": ["openid", *sorted(SUPPORTED_IDENTITY_SCOPES - {"openid"})],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "id_token_encryption_alg_values_supported": list(ENCRYPTION_ALGORITHMS),
        "id_token_encryption_enc_values_supported": list(CONTENT_ENCRYPTIONS),
        "userinfo_signing_alg_values_supported": ["RS256", "ES256"],
        "userinfo_encryption_alg_values_supported": list(ENCRYPTION_ALGORITHMS),
        "userinfo_encryption_enc_values_supported": list(CONTENT_ENCRYPTIONS),
        "claim_types_supported": ["normal"],
        "claims_supported": [*PROTOCOL_CLAIMS, *claims],
        "claims_parameter_supported": True,
        "display_values_supported": ["page", "popup"],
        "ui_locales_supported": list(UI_LANGUAGES),
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
    }


def step_up_fragment(deployment: Deployment) -> Mapping[str, Any]:
    """RFC 9470 section 7: the levels that somebody here can reach; only a passkey reaches the highest."""
    names = deployment.acr_names
    highest = [names.phr] if deployment.settings.offers_passkeys else []
    return {"acr_values_supported": [names.pwd, names.mfa, *highest]}


def session_management_fragment(issuer: str) -> Mapping[str, Any]:
    """OpenID Connect Session Management 1.0, 3.3."""
    return {"check_session_iframe": endpoint_url(issuer, "/check-session")}


def dpop_fragment() -> Mapping[str, Any]:
    """RFC 9449 5.1."""
    return {"dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS)}


def rp_initiated_logout_fragment(issuer: str) -> Mapping[str, Any]:
    """OpenID Connect RP-Initiated Logout 1.0, section 2.1."""
    return {"end_session_endpoint": endpoint_url(issuer, "/logout")}


def backchannel_logout_fragment() -> Mapping[str, Any]:
    """OpenID Connect Back-Channel Logout 1.0, section 2.1: a `sid` is in every ID token and logout token."""
    return {"backchannel_logout_supported": True, "backchannel_logout_session_supported": True}


def frontchannel_logout_fragment() -> Mapping[str, Any]:
    """OpenID Connect Front-Channel Logout 1.0, section 3."""
    return {"frontchannel_logout_supported": True, "frontchannel_logout_session_supported": True}
