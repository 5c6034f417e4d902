"""OpenID Connect Discovery 1.0 - what a provider publishes of itself, read by a client (RFC 8414 has the same members).

Only what this client uses is read. Where our own document comes from is `rfc8414_metadata`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .rfc3986_uri import check_web_host, parse_uri

_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})


class InvalidProviderMetadata(ValueError):
    """The document is not this provider's, or names what we would not go to; the text is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """What a client has to know of a provider, checked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    sends_iss: bool
    """RFC 9207 section 3: it says that its authorization responses hold `iss`, so one without is not its."""
    says_s256: bool
    signing_algs: tuple[str, ...]
    auth_methods: tuple[str, ...]


def discovery_url(issuer: str) -> str:
    """Section 4: the well-known part after the issuer's path, a slash at its end being taken off."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def read_provider_metadata(document: Mapping[str, Any], *, issuer: str) -> ProviderMetadata:
    """The metadata of `issuer`. Raises InvalidProviderMetadata.

    Section 4.3: "The issuer value returned MUST be identical to the Issuer URL that was used as the prefix". Does
    **not** check that anything listens at the endpoints.
    """
    if document.get("issuer") != issuer:
        raise InvalidProviderMetadata(f"it names the issuer {document.get('issuer')!r:.200}, not {issuer}")
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
        token_endpoint=_endpoint(document, "token_endpoint", issuer),
        jwks_uri=_endpoint(document, "jwks_uri", issuer),
        userinfo_endpoint=_find_endpoint(document, "userinfo_endpoint", issuer),
        end_session_endpoint=_find_endpoint(document, "end_session_endpoint", issuer),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        says_s256="S256" in _words(document, "code_challenge_methods_supported"),
        signing_algs=_words(document, "id_token_signing_alg_values_supported"),
        # Section 3: "If omitted, the default is client_secret_basic".
        auth_methods=_words(document, "token_endpoint_auth_methods_supported") or ("client_secret_basic",),
    )


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    found = _find_endpoint(document, name, issuer)
    if found is None:
        raise InvalidProviderMetadata(f"{name} is missing")
    return found


def _find_endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidProviderMetadata(f"{name} is not a text")
    try:
        uri = parse_uri(value)
        check_web_host(uri.host)
    except ValueError as error:
        raise InvalidProviderMetadata(f"{name} {error}") from error
    # Plain http is for a provider on this machine, and only where its issuer is spoken to in that way already.
    is_local = uri.scheme == "http" and uri.host in _LOOPBACK and issuer.startswith("http://")
    if uri.userinfo is not None or uri.fragment is not None or not (uri.scheme == "https" or is_local):
        raise InvalidProviderMetadata(f"{name} must be a plain https URL")
    return value


def _words(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
