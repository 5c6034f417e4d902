"""ASGI: a middleware for any application or framework that runs on asyncio. It imports none of them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from ..specs.rfc9068_access_token import AccessTokenClaims
from . import protected_resource
from .access_token import AccessTokenVerifier
from .protected_resource import CLAIMS_KEY, Refusal, ScopeRule, make_requirement_rule
from .renewed_copy import WouldWait
from .requirement import VALID_TOKEN, Requirement
from .resource_request import ResourceRequest, encode_path

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

# RFC 6455 7.4.1: the endpoint "has received a message that violates its policy". Before `accept`, servers answer 403.
_POLICY_VIOLATION = 1008


class TokenMiddleware:
    """Lets HTTP requests and WebSocket handshakes through that carry a token which verifies.

    The AccessTokenClaims are in the scope. `scope` as in the WSGI middleware, and the metadata too. A signature check
    takes tens of microseconds and is done in the event loop; only what waits for the network moves to a thread.
    """

    def __init__(
        self,
        app: ASGIApplication,
        verifier: AccessTokenVerifier,
        *,
        scope: str | Collection[str] | Requirement | ScopeRule = (),
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._rule = make_requirement_rule(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # A WebSocket handshake is a GET.
        method = scope.get("method", "GET")
        if scope["type"] == "http" and scope["path"] == self._verifier.published.path and method in ("GET", "HEAD"):
            published = self._verifier.published
            await _answer(send, "http.response", 200, published.headers, published.body if method == "GET" else b"")
            return
        requirement = self._rule(method, scope["path"])
        passed_on = {name: value for name, value in scope.items() if name != CLAIMS_KEY}
        if requirement is not None:
            try:
                passed_on[CLAIMS_KEY] = await admit(self._verifier, scope, requirement)
            except Refusal as refusal:
                await _refuse(refusal, scope, send)
                return
        await self._app(passed_on, receive, send)


async def admit(
    verifier: AccessTokenVerifier, scope: Scope, requirement: Requirement = VALID_TOKEN
) -> AccessTokenClaims:
    """Returns the claims of the request's token; raises Refusal. For frameworks whose views are coroutines."""
    request = request_from_scope(scope)
    try:
        return protected_resource.admit(verifier, request, requirement, wait=False)
    except WouldWait:
        return await asyncio.to_thread(protected_resource.admit, verifier, request, requirement)


def request_from_scope(scope: Scope) -> ResourceRequest:
    """Returns the request for `admit`: Starlette's and FastAPI's `request.scope` is such a scope."""
    path, root_path = scope["path"], scope.get("root_path", "")
    # Servers differ in whether `path` has `root_path` in it.
    whole_path = path if path.startswith(root_path) else root_path + path
    client = scope.get("client")
    return ResourceRequest(
        authorization=_get_header(scope["headers"], b"authorization"),
        dpop=_get_header(scope["headers"], b"dpop"),
        method=scope.get("method", "GET"),
        path=encode_path(whole_path.encode("utf-8", "surrogateescape"), scope.get("raw_path", b"").decode("latin-1")),
        peer=client[0] if client else "",
        forwarded_for=_get_header(scope["headers"], b"x-forwarded-for") or "",
    )


def get_claims(scope: Scope) -> AccessTokenClaims:
    """Returns the AccessTokenClaims of a request that came through TokenMiddleware; KeyError where it needed none."""
    claims: AccessTokenClaims = scope[CLAIMS_KEY]
    return claims


def _get_header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """Returns the header, or several joined by a comma, as WSGI has them: no token and no proof has one."""
    values = [value for name, value in headers if name.lower() == wanted]
    return b",".join(values).decode("latin-1") if values else None


async def _refuse(refusal: Refusal, scope: Scope, send: Send) -> None:
    if scope["type"] == "http":
        await _answer(send, "http.response", refusal.status, refusal.headers, refusal.body)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, "websocket.http.response", refusal.status, refusal.headers, refusal.body)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})


async def _answer(send: Send, prefix: str, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    raw_headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers]
    await send({"type": f"{prefix}.start", "status": status, "headers": raw_headers})
    await send({"type": f"{prefix}.body", "body": body})
