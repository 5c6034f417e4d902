"""ASGI: a middleware for any application or framework that runs on asyncio. It imports none of them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from ..specs.rfc9068_access_token import AccessTokenClaims
from .access_token import AccessTokenVerifier
from .key_set import KeysNotAtHand
from .protected_resource import CLAIMS_KEY, Refusal, ScopeRule, admit, make_scope_rule

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

# RFC 6455 7.4.1: the endpoint "has received a message that violates its policy". Before `accept`, servers answer 403.
_POLICY_VIOLATION = 1008


class TokenMiddleware:
    """Lets HTTP requests and WebSocket handshakes through that carry a token which verifies.

    The AccessTokenClaims are in the scope. `scope` as in the WSGI middleware. A signature check takes tens of
    microseconds and is done in the event loop; only waiting for keys moves to a thread.
    """

    def __init__(
        self, app: ASGIApplication, verifier: AccessTokenVerifier, *, scope: str | Collection[str] | ScopeRule = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._scope_rule = make_scope_rule(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # A WebSocket handshake is a GET.
        needed = self._scope_rule(scope.get("method", "GET"), scope["path"])
        passed_on = {name: value for name, value in scope.items() if name != CLAIMS_KEY}
        if needed is not None:
            try:
                passed_on[CLAIMS_KEY] = await self._admit(_get_authorization(scope["headers"]), needed)
            except Refusal as refusal:
                await _refuse(refusal, scope, send)
                return
        await self._app(passed_on, receive, send)

    async def _admit(self, authorization: str | None, needed: Collection[str]) -> AccessTokenClaims:
        try:
            return admit(self._verifier, authorization, scope=needed, verify=self._verifier.verify_at_once)
        except KeysNotAtHand:
            return await asyncio.to_thread(admit, self._verifier, authorization, scope=needed)


def get_claims(scope: Scope) -> AccessTokenClaims:
    """Returns the AccessTokenClaims of a request that came through TokenMiddleware; KeyError where it needed none."""
    claims: AccessTokenClaims = scope[CLAIMS_KEY]
    return claims


def _get_authorization(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Returns the header, or several joined by a comma, as WSGI has them: no token has one, so they are refused."""
    values = [value for name, value in headers if name.lower() == b"authorization"]
    return b",".join(values).decode("latin-1") if values else None


async def _refuse(refusal: Refusal, scope: Scope, send: Send) -> None:
    headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in refusal.headers]
    if scope["type"] == "http":
        prefix = "http.response"
    elif "websocket.http.response" in scope.get("extensions", {}):
        prefix = "websocket.http.response"
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
        return
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": refusal.body})
