"""The ASGI middleware, driven by hand: no framework, no server."""

import asyncio
from typing import Any

import pytest

from app.verifier import AccessTokenVerifier
from app.verifier.asgi import Message, Receive, Scope, Send, TokenMiddleware, get_claims
from app.verifier.protected_resource import CLAIMS_KEY
from tests.patience import run_async
from tests.verifier.conftest import MakeVerifier
from tests.verifier.issuer import (
    ALGS,
    API,
    METADATA,
    IssuerServer,
    MovableClock,
    SigningKey,
    make_claims,
    wait_for_background_fetches,
)

ISSUER = "https://login.example.com"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": [], "subprotocol": get_claims(scope).subject})
        return
    who = get_claims(scope).subject if CLAIMS_KEY in scope else "nobody"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": who.encode()})


async def _call(middleware: TokenMiddleware, scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await middleware(scope, receive, send)
    return sent


def make_scope(*authorization: str, path: str = "/photos", type_: str = "http", **members: Any) -> Scope:
    headers = [(b"host", b"api.example.com"), *((b"authorization", value.encode()) for value in authorization)]
    method = {"method": "GET"} if type_ == "http" else {}
    return {"type": type_, "path": path, "headers": headers, **method, **members}


def request(middleware: TokenMiddleware, *authorization: str, **members: Any) -> tuple[int, dict[str, str], bytes]:
    start, body = run_async(_call(middleware, make_scope(*authorization, **members)))
    headers: dict[str, str] = {}
    for raw_name, raw_value in start["headers"]:
        name, value = raw_name.decode(), raw_value.decode()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return start["status"], headers, body["body"]


@pytest.fixture
def verifier(key: SigningKey, make_verifier: MakeVerifier) -> AccessTokenVerifier:
    return make_verifier(ISSUER, keys=[key.public_jwk])


@pytest.fixture
def middleware(verifier: AccessTokenVerifier) -> TokenMiddleware:
    return TokenMiddleware(
        application, verifier, scope=lambda _method, path: None if path == "/health" else ("photos.read",)
    )


def test_the_application_behind_sees_the_claims(middleware: TokenMiddleware, key: SigningKey) -> None:
    status, _, body = request(middleware, f"Bearer {key.sign(make_claims(ISSUER))}")
    assert (status, body) == (200, b"alice")


def test_without_a_token_the_answer_is_a_bare_challenge(middleware: TokenMiddleware) -> None:
    status, headers, body = request(middleware)
    assert (status, body) == (401, b"")
    assert headers["www-authenticate"] == (
        f'Bearer realm="{API}", scope="photos.read", {METADATA}, '
        f'DPoP realm="{API}", scope="photos.read", {METADATA}, {ALGS}'
    )


def test_a_bad_token_is_invalid_token_with_the_reason(middleware: TokenMiddleware, key: SigningKey) -> None:
    status, headers, body = request(middleware, f"Bearer {key.sign(make_claims(ISSUER, iss='https://evil.example'))}")
    assert status == 401
    assert 'error="invalid_token"' in headers["www-authenticate"]
    assert headers["content-type"] == "application/json"
    assert b"another issuer" in body


def test_a_missing_scope_is_403(middleware: TokenMiddleware, key: SigningKey) -> None:
    status, headers, _ = request(middleware, f"Bearer {key.sign(make_claims(ISSUER, scope='photos.list'))}")
    assert status == 403
    assert 'error="insufficient_scope"' in headers["www-authenticate"]


def test_two_authorization_headers_are_one_too_many(middleware: TokenMiddleware, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER))
    status, headers, _ = request(middleware, f"Bearer {token}", f"Bearer {token}")
    assert status == 400
    assert 'error="invalid_request"' in headers["www-authenticate"]


def test_a_header_in_capitals_counts_too(middleware: TokenMiddleware, key: SigningKey) -> None:
    # ASGI demands lower case; a server that forgets it must not make two headers look like one.
    token = key.sign(make_claims(ISSUER)).encode()
    scope = make_scope()
    scope["headers"] = [(b"Authorization", b"Bearer " + token), (b"authorization", b"Bearer " + token)]
    start, _ = run_async(_call(middleware, scope))
    assert start["status"] == 400


def test_a_public_path_needs_no_token_and_carries_no_claims(middleware: TokenMiddleware) -> None:
    status, _, body = request(middleware, path="/health", **{CLAIMS_KEY: object()})
    assert (status, body) == (200, b"nobody")


def test_lifespan_messages_pass(middleware: TokenMiddleware) -> None:
    assert run_async(_call(middleware, {"type": "lifespan"})) == [{"type": "lifespan.startup.complete"}]


def test_the_servers_scope_is_left_as_it_was(middleware: TokenMiddleware, key: SigningKey) -> None:
    scope = make_scope(f"Bearer {key.sign(make_claims(ISSUER))}")
    run_async(_call(middleware, scope))
    assert CLAIMS_KEY not in scope


def test_a_websocket_with_a_token_is_accepted(middleware: TokenMiddleware, key: SigningKey) -> None:
    token = key.sign(make_claims(ISSUER))
    sent = run_async(_call(middleware, make_scope(f"Bearer {token}", type_="websocket")))
    assert sent == [{"type": "websocket.accept", "headers": [], "subprotocol": "alice"}]


def test_a_websocket_without_a_token_is_closed_before_it_opens(middleware: TokenMiddleware) -> None:
    sent = run_async(_call(middleware, make_scope(type_="websocket")))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_a_websocket_gets_the_whole_refusal_where_the_server_can_send_it(middleware: TokenMiddleware) -> None:
    scope = make_scope(type_="websocket", extensions={"websocket.http.response": {}})
    start, body = run_async(_call(middleware, scope))
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert b"www-authenticate" in dict(start["headers"])
    assert body == {"type": "websocket.http.response.body", "body": b""}


def test_the_event_loop_goes_on_while_keys_are_waited_for(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier
) -> None:
    verifier = make_verifier(server.issuer)
    middleware = TokenMiddleware(application, verifier, scope="photos.read")
    server.answer_after_the_gate_opens()

    async def run() -> list[Message]:
        token = key.sign(make_claims(server.issuer))
        waiting = asyncio.create_task(_call(middleware, make_scope(f"Bearer {token}")))
        # A request without token is answered while the first one waits for the network.
        assert (await _call(middleware, make_scope()))[0]["status"] == 401
        while not server.jwks_requests:
            await asyncio.sleep(0)
        assert not waiting.done()
        server.gate.set()
        return await waiting

    start, body = run_async(run())
    assert (start["status"], body["body"]) == (200, b"alice")


def test_without_any_key_the_answer_is_503_with_retry_after(
    server: IssuerServer, key: SigningKey, make_verifier: MakeVerifier, clock: MovableClock
) -> None:
    middleware = TokenMiddleware(application, make_verifier(server.issuer))
    token = key.sign(make_claims(server.issuer))
    server.stop()
    try:
        for _ in range(2):
            status, headers, _ = request(middleware, f"Bearer {token}")
            assert (status, headers["retry-after"]) == (503, "2")
            assert "www-authenticate" not in headers
    finally:
        server.start()
    clock.advance(2)
    assert request(middleware, f"Bearer {token}")[0] == 200
    wait_for_background_fetches()
