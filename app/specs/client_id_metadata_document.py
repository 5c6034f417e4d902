"""draft-ietf-oauth-client-id-metadata-document - OAuth Client ID Metadata Document (sections of revision 02).

A client_id that is an https URL needs no registration: the document at that URL is the registration. Here is what makes
a URL such a client_id, what a document may say, and who the client was when a person said yes to it. **Not** here:
fetching, and how long a copy counts.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from .protocol_error import Difference, InvalidClientMetadata, InvalidRequest
from .rfc3986_uri import check_web_host, parse_uri
from .rfc7517_jwk import InvalidKey, thumbprint
from .rfc7591_metadata import ClientMetadata, parse_client_metadata
from .rfc8252_redirects import display_host
from .strict_json import StrictJsonError, parse_json_object

MAX_DOCUMENT_BYTES: Final = 5 * 1024
"""Section 8.7: "the recommended maximum response size for client metadata documents is 5 kilobytes"."""

GRANT_TYPES: Final = ("authorization_code", "refresh_token")
"""Grants with a person behind them. Anybody can publish a document: it must not make them a machine that we trust."""
_METHODS: Final = ("none", "private_key_jwt")
_LINKS: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_SECRET_MEMBERS: Final = frozenset({"client_secret", "client_secret_expires_at"})
# RFC 6839: what ends in +json is JSON.
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.\-]+\+)?json", re.IGNORECASE)


# ----- The client_id -----


def is_document_url(client_id: str) -> bool:
    """Whether a client_id claims to be the URL of a document. It may still be one that is refused."""
    return client_id.startswith("https://")


def check_client_id_url(client_id: str) -> None:
    """Raises InvalidRequest unless the URL is what section 3 allows. Nothing is normalised.

    A query is allowed, as section 3 only advises against it; like every other part it must stand in the document too.
    """
    try:
        _check_url(client_id)
    except ValueError as cause:
        raise InvalidRequest("the client is not known here", detail=f"client_id {client_id!r:.300}: {cause}") from cause


def _check_url(client_id: str) -> None:
    uri = parse_uri(client_id)
    # Section 3: 'Client Identifier URLs MUST have an "https" scheme, MUST contain a path component, MUST NOT contain
    # single-dot or double-dot path segments, MUST NOT contain a fragment component and MUST NOT contain a username or
    # password.'
    if uri.scheme != "https":
        raise ValueError("must use https")
    check_web_host(uri.host)
    if uri.userinfo is not None:
        raise ValueError("must not hold credentials")
    if uri.fragment is not None:
        raise ValueError("must not have a fragment")
    if not uri.path:
        raise ValueError("must have a path")
    # `..;` and `%2e%2e` are dot segments to some servers.
    if any(unquote(segment.partition(";")[0]) in (".", "..") for segment in uri.path.split("/")):
        raise ValueError("must not hold dot segments")


def document_host(client_id: str) -> str:
    """The host that the document came from, with its port where that is not the usual one: all that was verified."""
    uri = parse_uri(client_id)
    return (uri.host or "") if uri.port in (None, 443) else f"{uri.host}:{uri.port}"


# ----- The document -----


def is_json_type(content_type: str | None) -> bool:
    """Section 4: "application/json", or a type that ends in +json."""
    return _JSON_TYPE.fullmatch((content_type or "").partition(";")[0].strip()) is not None


def parse_client_document(raw: bytes, *, client_id: str, policy: Mapping[str, Any] | None = None) -> ClientMetadata:
    """The client that the document at `client_id` describes. Raises InvalidClientMetadata or InvalidRedirectUri.

    What a document says of other servers' grants is passed over: one document serves them all. What would make a secret
    that two parties know, or a client without a person, is refused. `policy` is what the operator decided about all
    clients of this kind. Does **not** look at what `sector_identifier_uri` leads to: a document is its own sector.
    """
    try:
        document = parse_json_object(raw, max_bytes=MAX_DOCUMENT_BYTES)
    except StrictJsonError as cause:
        raise InvalidClientMetadata(f"the document cannot be read: {cause}") from cause
    # Section 4: the document "MUST contain a client_id property whose value MUST match the URL of the document using
    # simple string comparison".
    if document.get("client_id") != client_id:
        difference = Difference(what="client_id", expected=client_id, received=str(document.get("client_id")))
        raise InvalidClientMetadata("client_id: is not the address of the document", differences=[difference])
    _check_no_secret(document)
    members = {**document, "policy": dict(policy or {})}
    # RFC 7591 would make it client_secret_basic, which no document can be.
    if members.get("token_endpoint_auth_method") is None:
        members["token_endpoint_auth_method"] = "none"  # noqa: S105 - a method's name
    members |= _keep_supported(members, "grant_types", GRANT_TYPES)
    members |= _keep_supported(members, "response_types", ("code",))
    for name in _LINKS:
        if str(members.get(name) or "https://").partition(":")[0] != "https":
            raise InvalidClientMetadata(f"{name}: must use https")
    return parse_client_metadata(members)


def _check_no_secret(document: Mapping[str, Any]) -> None:
    # Section 4.1: token_endpoint_auth_method "MUST NOT include client_secret_post, client_secret_basic,
    # client_secret_jwt, or any other method based around a shared symmetric secret", and "the client_secret and
    # client_secret_expires_at properties MUST NOT be used".
    if not _SECRET_MEMBERS.isdisjoint(document):
        raise InvalidClientMetadata("client_secret: a document that everybody can read holds no secret")
    if document.get("token_endpoint_auth_method") not in (None, *_METHODS):
        raise InvalidClientMetadata("token_endpoint_auth_method: must be none or private_key_jwt")


def _keep_supported(members: Mapping[str, Any], name: str, supported: tuple[str, ...]) -> dict[str, Any]:
    values = members.get(name)
    if not isinstance(values, list):
        return {}
    kept = [value for value in values if value in supported]
    if supported[0] not in kept:
        raise InvalidClientMetadata(f"{name}: must hold {supported[0]}")
    return {name: kept}


# ----- Who it was -----


def digest_identity(metadata: ClientMetadata, redirect_uri: str) -> bytes:
    """32 bytes that change when a consent must not go on counting: another host to return to, or other keys.

    A domain can be sold; what a person allowed was the application behind these keys and at this host.
    """
    keys = sorted(_name_key(jwk) for jwk in (metadata.jwks or {}).get("keys", []))
    identity = [display_host(redirect_uri), keys, metadata.jwks_uri]
    return hashlib.sha256(json.dumps(identity).encode()).digest()


def _name_key(jwk: Mapping[str, Any]) -> str:
    try:
        return thumbprint(jwk)
    except InvalidKey:
        # A key of a type that is not read here still belongs to who the client says it is.
        return json.dumps(jwk, sort_keys=True)
