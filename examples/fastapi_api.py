"""A resource server with FastAPI: a dependency that hands a view the claims of a token with its scopes.

    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8406/ \\
        granian --interface asgi --port 8406 --working-dir examples fastapi_api:app

Whoever would rather guard a whole application wraps it: `TokenMiddleware(app, verifier, scope=...)`.
Outside of this repository the names come from the wheel `tokenhouse_verifier`.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from app.verifier import AccessTokenClaims, AccessTokenVerifier, Refusal, require
from app.verifier.asgi import admit

verifier = AccessTokenVerifier(
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    # Behind a proxy: the networks whose X-Forwarded-For counts, for tokens that are limited to networks.
    trusted_proxies=os.environ.get("TRUSTED_PROXIES", "").split(),
)
app = FastAPI(title="Photos")


def token_with(
    scope: str, *, authorization_details: str = "", acr_values: str = "", max_age_s: int | None = None
) -> Callable[[Request], Awaitable[AccessTokenClaims]]:
    """A dependency for views that need such a token; see `app.verifier.require`."""
    requirement = require(
        scope, authorization_details=authorization_details, acr_values=acr_values, max_age_s=max_age_s
    )

    async def dependency(request: Request) -> AccessTokenClaims:
        return await admit(verifier, request.scope, requirement)

    return dependency


Reader = Annotated[AccessTokenClaims, Depends(token_with("photos.read"))]
# Writing wants a login of the last ten minutes: the answer to an older one says so (RFC 9470).
Writer = Annotated[AccessTokenClaims, Depends(token_with("photos.write", max_age_s=600))]


@app.exception_handler(Refusal)
async def refuse(_request: Request, refusal: Refusal) -> Response:
    """The verifier's complete answer, in place of the view's."""
    return Response(refusal.body, status_code=refusal.status, headers=dict(refusal.headers))


@app.get("/photos")
async def photos(token: Reader) -> dict[str, str]:
    return {"owner": token.subject}


@app.post("/uploads", status_code=201)
async def upload(token: Writer) -> dict[str, str]:
    return {"owner": token.subject}


if verifier.published.path is not None:

    @app.get(verifier.published.path, include_in_schema=False)
    async def metadata() -> Response:
        """What this API is, for clients that find it first (RFC 9728)."""
        return Response(verifier.published.body, headers=dict(verifier.published.headers))
