"""A resource server on asyncio: an ASGI application behind the token middleware. One path needs no token.

    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8404/ \\
        granian --interface asgi --port 8404 --working-dir examples asgi_api:application

FastAPI, Starlette, Quart and Litestar applications are wrapped the same way: `TokenMiddleware(their_app, verifier)`.
"""

import json
import os
from collections.abc import Collection

from app.verifier import AccessTokenVerifier
from app.verifier.asgi import Receive, Scope, Send, TokenMiddleware, get_claims


def needed_scope(method: str, path: str) -> Collection[str] | None:
    """What a request needs; None is "no token"."""
    if path == "/health":
        return None
    return ["photos.read"] if method in ("GET", "HEAD") else ["photos.write"]


async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
    """Only requests with a good token come here, and those for /health."""
    if scope["type"] != "http":
        return
    document = {"status": "well"} if scope["path"] == "/health" else {"subject": get_claims(scope).subject}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


application = TokenMiddleware(
    answer,
    AccessTokenVerifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"]),
    scope=needed_scope,
)
