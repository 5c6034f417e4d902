"""What Tokenhouse can do, as data: each feature, the specifications it implements and what it needs.

A feature that is off is absent: no route, no grant, no metadata, and what a client registered for it is passed over.
Nothing here decides anything; the factory and the metadata read this tuple, `tokenhouse specs` prints it, and a test
holds it against both and against the README.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

Stage = Literal["stable", "experimental"]
Profile = Literal["oauth21", "openid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A published document that a feature implements."""

    name: str
    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One thing the server does, with the documents that define it and the features it stands on.

    `is_base`: what everything else stands on, and what cannot be switched off. `switch`: the setting of its own that
    switches it. The rest is what goes when it is off, beside routes and metadata: parameters of the authorization
    request, grant types, and members of the client's metadata.
    """

    name: str
    specs: tuple[Specification, ...]
    requires: tuple[str, ...] = ()
    stage: Stage = "stable"
    is_base: bool = False
    switch: str | None = None
    parameters: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    client_members: tuple[str, ...] = ()


def _rfc(number: int, title: str) -> Specification:
    return Specification(name=f"RFC {number}", title=title, url=f"https://www.rfc-editor.org/rfc/rfc{number}")


_OPENID_CORE = Specification(
    name="OpenID Connect Core 1.0",
    title="OpenID Connect Core (authorization code flow)",
    url="https://openid.net/specs/openid-connect-core-1_0.html",
)
_OPENID_DISCOVERY = Specification(
    name="OpenID Connect Discovery 1.0",
    title="OpenID Connect Discovery",
    url="https://openid.net/specs/openid-connect-discovery-1_0.html",
)
_BACKCHANNEL_LOGOUT = Specification(
    name="OpenID Connect Back-Channel Logout 1.0",
    title="OpenID Connect Back-Channel Logout",
    url="https://openid.net/specs/openid-connect-backchannel-1_0.html",
)

FEATURES: tuple[Feature, ...] = (
    Feature(
        name="authorization_code",
        specs=(
            _rfc(6749, "The OAuth 2.0 Authorization Framework"),
            _rfc(7636, "Proof Key for Code Exchange"),
            _rfc(8252, "OAuth 2.0 for Native Apps"),
            _rfc(9207, "Authorization Server Issuer Identification"),
            _rfc(9700, "Best Current Practice for OAuth 2.0 Security"),
        ),
        is_base=True,
    ),
    Feature(
        name="response_modes",
        specs=(
            Specification(
                name="OAuth 2.0 Multiple Response Types",
                title="OAuth 2.0 Multiple Response Type Encoding Practices (response modes)",
                url="https://openid.net/specs/oauth-v2-multiple-response-types-1_0.html",
            ),
            Specification(
                name="OAuth 2.0 Form Post Response Mode",
                title="OAuth 2.0 Form Post Response Mode",
                url="https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html",
            ),
        ),
        requires=("authorization_code",),
    ),
    Feature(
        name="request_objects",
        specs=(
            _rfc(9101, "JWT-Secured Authorization Request"),
            _rfc(7516, "JSON Web Encryption"),
        ),
        requires=("authorization_code",),
        client_members=(
            "request_object_signing_alg",
            "request_object_encryption_alg",
            "request_object_encryption_enc",
            "request_uris",
        ),
    ),
    Feature(name="refresh_tokens", specs=(), requires=("authorization_code",), grant_types=("refresh_token",)),
    Feature(
        name="client_credentials",
        specs=(_rfc(6749, "The OAuth 2.0 Authorization Framework"),),
        grant_types=("client_credentials",),
    ),
    Feature(
        name="client_assertions",
        specs=(
            _rfc(7523, "JSON Web Token (JWT) Profile for OAuth 2.0 Client Authentication"),
            _rfc(7517, "JSON Web Key"),
        ),
        client_members=("token_endpoint_auth_signing_alg",),
    ),
    Feature(
        name="resource_indicators",
        specs=(_rfc(8707, "Resource Indicators for OAuth 2.0"),),
        requires=("authorization_code",),
        is_base=True,
    ),
    Feature(
        name="authorization_details",
        specs=(
            _rfc(9396, "OAuth 2.0 Rich Authorization Requests"),
            Specification(
                name="JSON Schema 2020-12",
                title="JSON Schema (the part that validates in bounded time)",
                url="https://json-schema.org/draft/2020-12",
            ),
        ),
        requires=("resource_indicators",),
        parameters=("authorization_details",),
        client_members=("authorization_details_types",),
    ),
    Feature(
        name="jwt_access_tokens",
        specs=(
            _rfc(9068, "JSON Web Token Profile for OAuth 2.0 Access Tokens"),
            _rfc(7519, "JSON Web Token"),
            _rfc(7638, "JSON Web Key Thumbprint"),
            _rfc(8725, "JSON Web Token Best Current Practices"),
        ),
        is_base=True,
    ),
    Feature(
        name="token_status_lists",
        specs=(
            Specification(
                name="draft-ietf-oauth-status-list",
                title="Token Status List",
                url="https://datatracker.ietf.org/doc/draft-ietf-oauth-status-list/",
            ),
        ),
        requires=("jwt_access_tokens",),
        is_base=True,
    ),
    Feature(
        name="bearer_token_usage",
        specs=(_rfc(6750, "Bearer Token Usage"),),
        requires=("jwt_access_tokens",),
        is_base=True,
    ),
    Feature(
        # Not to be switched off: whoever set one up would be let in by less than that.
        name="second_factors",
        specs=(
            _rfc(6238, "TOTP: Time-Based One-Time Password Algorithm"),
            _rfc(4226, "HOTP: An HMAC-Based One-Time Password Algorithm"),
        ),
        requires=("authorization_code",),
        is_base=True,
    ),
    Feature(
        name="step_up",
        specs=(_rfc(9470, "OAuth 2.0 Step Up Authentication Challenge Protocol"),),
        requires=("second_factors", "jwt_access_tokens"),
        is_base=True,
    ),
    Feature(
        name="dpop",
        specs=(_rfc(9449, "Demonstrating Proof of Possession (DPoP)"),),
        requires=("jwt_access_tokens",),
        parameters=("dpop_jkt",),
    ),
    Feature(
        name="token_revocation",
        specs=(_rfc(7009, "OAuth 2.0 Token Revocation"),),
        requires=("jwt_access_tokens",),
    ),
    Feature(
        name="token_introspection",
        specs=(
            _rfc(7662, "OAuth 2.0 Token Introspection"),
            _rfc(9701, "JWT Response for OAuth Token Introspection"),
        ),
        requires=("jwt_access_tokens",),
        client_members=("introspection_signed_response_alg",),
    ),
    Feature(
        name="token_exchange",
        specs=(_rfc(8693, "OAuth 2.0 Token Exchange"),),
        requires=("authorization_code", "resource_indicators", "jwt_access_tokens"),
        grant_types=("urn:ietf:params:oauth:grant-type:token-exchange",),
    ),
    Feature(
        name="openid",
        specs=(
            _OPENID_CORE,
            _OPENID_DISCOVERY,
        ),
        requires=("authorization_code", "jwt_access_tokens", "bearer_token_usage"),
        parameters=("claims", "claims_locales", "id_token_hint", "nonce"),
    ),
    Feature(
        name="client_registration",
        specs=(
            _rfc(7591, "OAuth 2.0 Dynamic Client Registration Protocol"),
            _rfc(7592, "OAuth 2.0 Dynamic Client Registration Management Protocol"),
            Specification(
                name="OpenID Connect Registration 1.0",
                title="OpenID Connect Dynamic Client Registration",
                url="https://openid.net/specs/openid-connect-registration-1_0.html",
            ),
        ),
        requires=("authorization_code",),
        switch="registration",
    ),
    Feature(
        name="client_id_metadata_documents",
        specs=(
            Specification(
                name="draft-ietf-oauth-client-id-metadata-document",
                title="OAuth Client ID Metadata Document",
                url="https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/",
            ),
        ),
        requires=("authorization_code",),
        switch="client_id_metadata_documents",
    ),
    Feature(
        name="session_management",
        specs=(
            Specification(
                name="OpenID Connect Session Management 1.0",
                title="OpenID Connect Session Management",
                url="https://openid.net/specs/openid-connect-session-1_0.html",
            ),
        ),
        requires=("openid",),
    ),
    Feature(
        name="rp_initiated_logout",
        specs=(
            Specification(
                name="OpenID Connect RP-Initiated Logout 1.0",
                title="OpenID Connect RP-Initiated Logout",
                url="https://openid.net/specs/openid-connect-rpinitiated-1_0.html",
            ),
        ),
        requires=("openid",),
        client_members=("post_logout_redirect_uris",),
    ),
    Feature(
        name="backchannel_logout",
        specs=(_BACKCHANNEL_LOGOUT,),
        requires=("openid",),
        client_members=("backchannel_logout_uri", "backchannel_logout_session_required"),
    ),
    Feature(
        name="frontchannel_logout",
        specs=(
            Specification(
                name="OpenID Connect Front-Channel Logout 1.0",
                title="OpenID Connect Front-Channel Logout",
                url="https://openid.net/specs/openid-connect-frontchannel-1_0.html",
            ),
        ),
        requires=("rp_initiated_logout",),
        client_members=("frontchannel_logout_uri", "frontchannel_logout_session_required"),
    ),
    # Other providers' logins: what we are to them is a client.
    Feature(
        name="upstream_logins",
        specs=(
            _OPENID_CORE,
            _OPENID_DISCOVERY,
            _BACKCHANNEL_LOGOUT,
            _rfc(7636, "Proof Key for Code Exchange"),
            _rfc(9207, "Authorization Server Issuer Identification"),
        ),
        requires=("authorization_code",),
    ),
    Feature(
        name="passkeys",
        specs=(
            Specification(
                name="WebAuthn Level 3",
                title="Web Authentication: an API for accessing Public Key Credentials (passkeys)",
                url="https://www.w3.org/TR/webauthn-3/",
            ),
            Specification(
                name="Passkey Endpoints",
                title="A Well-Known URL for Relying Party Passkey Endpoints",
                url="https://www.w3.org/TR/passkey-endpoints/",
            ),
        ),
    ),
    Feature(
        name="server_metadata",
        specs=(_rfc(8414, "OAuth 2.0 Authorization Server Metadata"),),
        is_base=True,
    ),
)


def find_switch_problems(off: Collection[str]) -> Iterator[str]:
    """What is wrong with a list of features to switch off, a sentence per name; nothing where it can be obeyed."""
    by_name = {feature.name: feature for feature in FEATURES}
    for name in off:
        feature = by_name.get(name)
        if feature is None:
            yield f"there is no feature {name!r}: see `tokenhouse specs`"
        elif feature.is_base:
            yield f"{name} is what the rest stands on"
        elif feature.switch is not None:
            yield f"{name} is switched by TOKENHOUSE_{feature.switch.upper()}"
        for other in FEATURES:
            if feature is not None and name in other.requires and other.name not in off and other.switch is None:
                yield f"{other.name} stands on {name}: switch both off, or neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """What a security profile demands of a client: data that the rules read, ordered from lax to strict."""

    name: Profile
    strictness: int
    pkce_optional_for_confidential_clients: bool
    assertions_may_name_the_token_endpoint: bool
    """OpenID Connect Core 9: the token endpoint's URL as a client assertion's audience, beside the issuer, and either
    of them or both also as an array: older clients send both names of one server.
    """
    unsigned_request_objects: bool
    """OpenID Connect Core 6.1 has them; RFC 9101 10.1 does not."""
    request_objects_are_complete: bool
    """RFC 9101: nothing beside the object counts, and it says for whom, by whom and when. OpenID Connect Core 6.1 lets
    parameters beside it complete it, and these claims be missing.
    """


PROFILES: dict[Profile, ProfileRules] = {
    "openid": ProfileRules(
        name="openid",
        strictness=0,
        pkce_optional_for_confidential_clients=True,
        assertions_may_name_the_token_endpoint=True,
        unsigned_request_objects=True,
        request_objects_are_complete=False,
    ),
    "oauth21": ProfileRules(
        name="oauth21",
        strictness=1,
        pkce_optional_for_confidential_clients=False,
        assertions_may_name_the_token_endpoint=False,
        unsigned_request_objects=False,
        request_objects_are_complete=True,
    ),
}


def effective_profile(*, server: Profile, client: Profile) -> ProfileRules:
    """The stricter of the two: a client can be stricter than its server, never laxer."""
    return max(PROFILES[server], PROFILES[client], key=lambda rules: rules.strictness)
