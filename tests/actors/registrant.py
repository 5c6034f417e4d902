"""A program that registers itself as a client (RFC 7591) and goes on managing that (RFC 7592)."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from app.services.manage_clients import RegisteredClient
from tests.actors.http import Reply, send


def register(url: str, *, token: str | None = None, **metadata: Any) -> Reply:
    """POST the metadata: those of a confidential client with one https redirect URI, unless told otherwise."""
    document = {"redirect_uris": [f"https://app-{secrets.token_hex(4)}.example/callback"], **metadata}
    return send_document(f"{url}/register", document, token=token)


def send_document(
    url: str, document: Mapping[str, Any] | bytes, *, method: str = "POST", token: str | None = None
) -> Reply:
    """A JSON document, or bytes that may be none."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return send(url, method=method, headers=headers, body=body)


def as_client(document: Mapping[str, Any]) -> RegisteredClient:
    """What was registered, for the actors that use clients."""
    return RegisteredClient(
        client_id=document["client_id"],
        issued_at=document["client_id_issued_at"] * 1000,
        metadata=document,
        policy={},
        security_profile="",
        disabled=False,
        client_secret=document.get("client_secret"),
    )
