"""Who has come back from another provider: its code is exchanged, and everything that it says is checked."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.services.deployment import Deployment
from app.services.identity_providers import Provider
from app.services.upstream_channel import Channel
from app.specs.identity_provider_document import IdentityProvider
from app.specs.metadata_values import is_display_text
from app.specs.oidc_discovery import ProviderMetadata
from app.specs.oidc_id_token_verification import (
    MAX_SUBJECT_CHARACTERS,
    ExpectedIdToken,
    InvalidIdToken,
    VerifiedIdToken,
    check_at_hash,
    check_id_token_claims,
    check_userinfo_subject,
)
from app.specs.oidc_relying_party import (
    MAX_TOKEN_RESPONSE_BYTES,
    MAX_USERINFO_BYTES,
    InvalidAnswer,
    TokenAnswer,
    basic_credentials,
    build_token_request,
    find_member,
    read_token_error,
    read_token_response,
    read_userinfo,
)
from app.specs.rfc7515_jose import InvalidJws, sign_jws
from app.specs.rfc7523_client_assertion import ASSERTION_TYPE
from app.specs.strict_json import StrictJsonError, parse_json_object

ASSERTION_LIFETIME_S: Final = 60
_MOST_LABEL_CHARACTERS: Final = 200


class UpstreamRefused(Exception):
    """What the provider answered does not prove who has come. `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where one provider is asked. Without `metadata` it speaks OAuth only."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None
    metadata: ProviderMetadata | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """What was asked, and is compared with what comes back."""

    redirect_uri: str
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    max_age_s: int | None
    asked_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamIdentity:
    """Who somebody is at a provider, verified. `email` and `email_verified` are of one source."""

    subject: str
    label: str = field(repr=False)
    email: str | None = field(repr=False)
    email_verified: bool
    name: str | None = field(repr=False)
    acr: str | None
    amr: tuple[str, ...]
    auth_time_s: int | None
    sid: str | None
    id_token: str | None = field(repr=False)
    end_session_endpoint: str | None


def find_endpoints(deployment: Deployment, provider: Provider, channel: Channel) -> Endpoints:
    """Where the provider is asked: as it publishes, or as the operator said. Raises `ProviderUnavailable`."""
    document = provider.document
    if document.issuer is not None:
        metadata = deployment.provider_documents.get_metadata(channel, provider.id, document.issuer)
        return Endpoints(
            authorization_endpoint=metadata.authorization_endpoint,
            token_endpoint=metadata.token_endpoint,
            userinfo_endpoint=metadata.userinfo_endpoint,
            metadata=metadata,
        )
    return Endpoints(
        authorization_endpoint=document.authorization_endpoint or "",
        token_endpoint=document.token_endpoint or "",
        userinfo_endpoint=document.userinfo_endpoint,
        metadata=None,
    )


def fetch_identity(
    deployment: Deployment, provider: Provider, endpoints: Endpoints, sent: SentRequest, code: str, channel: Channel
) -> UpstreamIdentity:
    """Exchange a code, and read who it is. Raises `UpstreamRefused` or `ProviderUnavailable`."""
    try:
        tokens = _exchange(deployment, provider, endpoints, sent, code, channel)
        if endpoints.metadata is None:
            if sent.max_age_s is not None:
                raise UpstreamRefused("an OAuth provider does not say when somebody logged in")
            return _read_mapped(provider.document, _ask_userinfo(endpoints, tokens, channel))
        verified = _verify(deployment, provider, endpoints.metadata, sent, tokens, channel)
        userinfo: Mapping[str, Any] = {}
        if endpoints.userinfo_endpoint is not None and "email" not in verified.claims:
            userinfo = _ask_userinfo(endpoints, tokens, channel)
            check_userinfo_subject(userinfo, verified.subject)
    except (InvalidAnswer, InvalidIdToken, InvalidJws, StrictJsonError) as error:
        raise UpstreamRefused(str(error)) from error
    return _read_claims(verified, userinfo, tokens, endpoints.metadata)


# ----- The token request -----


def _exchange(
    deployment: Deployment, provider: Provider, endpoints: Endpoints, sent: SentRequest, code: str, channel: Channel
) -> TokenAnswer:
    authorization, further = _authenticate(deployment, provider, endpoints)
    body = build_token_request(
        code=code, redirect_uri=sent.redirect_uri, code_verifier=sent.code_verifier, further=further
    )
    answer = channel.post(
        endpoints.token_endpoint, body, max_bytes=MAX_TOKEN_RESPONSE_BYTES, authorization=authorization
    )
    if answer.status != 200:
        raise UpstreamRefused(f"the token request was answered {answer.status} {read_token_error(answer.body)}")
    return read_token_response(answer.body, needs_id_token=endpoints.metadata is not None)


def _authenticate(
    deployment: Deployment, provider: Provider, endpoints: Endpoints
) -> tuple[str | None, dict[str, str]]:
    """The header, and what goes into the form (OpenID Connect Core 9)."""
    client_id, method = provider.document.client_id, provider.document.token_endpoint_auth_method
    if method == "client_secret_basic":
        pair = basic_credentials(client_id, provider.client_secret or "")
        return f"Basic {base64.b64encode(pair.encode()).decode()}", {}
    further = {"client_id": client_id}
    if method == "client_secret_post":
        further["client_secret"] = provider.client_secret or ""
    elif method == "private_key_jwt":
        further["client_assertion_type"] = ASSERTION_TYPE
        further["client_assertion"] = _sign_assertion(deployment, client_id, provider.identity, endpoints)
    return None, further


def _sign_assertion(deployment: Deployment, client_id: str, issuer: str, endpoints: Endpoints) -> str:
    """By the key that signs ID tokens, which everybody finds at our `/jwks`. Nobody takes it for one: `iss` is not us,
    and `typ` says what it is.
    """
    now_s = deployment.clock() // 1000
    claims = {
        "iss": client_id,
        "sub": client_id,
        # The issuer alone, as RFC 7523bis has it; an OAuth provider has none but its token endpoint.
        "aud": issuer if endpoints.metadata is not None else endpoints.token_endpoint,
        "iat": now_s,
        "exp": now_s + ASSERTION_LIFETIME_S,
        "jti": secrets.token_urlsafe(16),
    }
    key = deployment.get_signing_key("RS256")
    return sign_jws({"typ": "client-authentication+jwt"}, json.dumps(claims).encode(), key, "RS256")


# ----- What comes back -----


def _verify(
    deployment: Deployment,
    provider: Provider,
    metadata: ProviderMetadata,
    sent: SentRequest,
    tokens: TokenAnswer,
    channel: Channel,
) -> VerifiedIdToken:
    payload, alg = deployment.provider_documents.verify(
        channel,
        provider.id,
        metadata.jwks_uri,
        tokens.id_token or "",
        algorithms=provider.document.id_token_signing_algs,
    )
    claims = parse_json_object(payload)
    check_at_hash(claims, access_token=tokens.access_token, alg=alg)
    expected = ExpectedIdToken(
        issuer=metadata.issuer,
        client_id=provider.document.client_id,
        nonce=sent.nonce,
        now_s=deployment.clock() / 1000,
        max_age_s=sent.max_age_s,
        asked_at_s=sent.asked_at_s,
    )
    return check_id_token_claims(claims, expected)


def _ask_userinfo(endpoints: Endpoints, tokens: TokenAnswer, channel: Channel) -> dict[str, Any]:
    answer = channel.get(
        endpoints.userinfo_endpoint or "",
        max_bytes=MAX_USERINFO_BYTES,
        accept="application/json",
        authorization=f"Bearer {tokens.access_token}",
    )
    if answer.status != 200:
        raise UpstreamRefused(f"the UserInfo request was answered {answer.status}")
    return read_userinfo(answer.body)


def _read_claims(
    verified: VerifiedIdToken, userinfo: Mapping[str, Any], tokens: TokenAnswer, metadata: ProviderMetadata
) -> UpstreamIdentity:
    # An address and whether it is verified come from one place: one's word for the other's address is worth nothing.
    source = verified.claims if "email" in verified.claims else userinfo
    email, name = _text(source.get("email")), _text(verified.claims.get("name")) or _text(userinfo.get("name"))
    username = _text(verified.claims.get("preferred_username")) or _text(userinfo.get("preferred_username"))
    return UpstreamIdentity(
        subject=verified.subject,
        label=email or username or name or verified.subject[:_MOST_LABEL_CHARACTERS],
        email=email,
        # "true" as a text is no true: whoever writes it that way has not read the specification.
        email_verified=source.get("email_verified") is True,
        name=name,
        acr=verified.acr,
        amr=verified.amr,
        auth_time_s=verified.auth_time_s,
        sid=verified.sid,
        id_token=tokens.id_token,
        end_session_endpoint=metadata.end_session_endpoint,
    )


def _read_mapped(document: IdentityProvider, userinfo: Mapping[str, Any]) -> UpstreamIdentity:
    mapping = document.mapping
    if mapping is None:
        raise UpstreamRefused("nothing says where in the UserInfo response the subject is")
    subject = find_member(userinfo, mapping.subject)
    if type(subject) is int:
        subject = str(subject)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise UpstreamRefused(f"{mapping.subject} is no text of 1 to {MAX_SUBJECT_CHARACTERS} characters")
    email = _text(find_member(userinfo, mapping.email)) if mapping.email else None
    name = _text(find_member(userinfo, mapping.name)) if mapping.name else None
    is_verified = mapping.email_verified is not None and find_member(userinfo, mapping.email_verified) is True
    return UpstreamIdentity(
        subject=subject,
        label=email or name or subject[:_MOST_LABEL_CHARACTERS],
        email=email,
        email_verified=is_verified,
        name=name,
        acr=None,
        amr=(),
        auth_time_s=None,
        sid=None,
        id_token=None,
        end_session_endpoint=None,
    )


def _text(value: object) -> str | None:
    """A text that people can be shown; None for anything else."""
    if isinstance(value, str) and 0 < len(value) <= _MOST_LABEL_CHARACTERS and is_display_text(value):
        return value
    return None
