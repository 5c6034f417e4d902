"""The answer of the token endpoint (RFC 6749 5.1, OpenID Connect Core 3.1.3.3), the same for every grant."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.services.issue_tokens import IssuedTokens

TokenAnswer = tuple[int, Mapping[str, Any], Iterable[tuple[str, str]]]


def token_response(tokens: IssuedTokens, *, issued_token_type: str | None = None) -> TokenAnswer:
    """Status, body and headers for tokens that were issued; `issued_token_type` in exchange (RFC 8693 2.2.1)."""
    body: dict[str, Any] = {
        "access_token": tokens.access_token,
        "token_type": tokens.token_type,
        "expires_in": tokens.expires_in_s,
        "scope": tokens.scope,
    }
    if issued_token_type is not None:
        body["issued_token_type"] = issued_token_type
    if tokens.id_token is not None:
        body["id_token"] = tokens.id_token
    if tokens.refresh_token is not None:
        body["refresh_token"] = tokens.refresh_token
    if tokens.authorization_details:
        # RFC 9396 7: what the token carries, so that a client sees what it was granted.
        body["authorization_details"] = list(tokens.authorization_details)
    return 200, body, (("Content-Type", "application/json"),)
