"""An MCP server whose tools need a token: the official SDK behind the token middleware. `docs/mcp.md` walks through it.

    pip install mcp
    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8405/mcp python examples/mcp_server.py

The middleware is all that MCP authorization asks of a server: it publishes the resource's metadata (RFC 9728), answers
401 with where that lies and which scope is needed, 403 where a token has too little, and takes no token that was made
for somebody else. The SDK's own authorization stays switched off.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

# In a project of your own: `from tokenhouse_verifier import ...`.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from app.verifier import AccessTokenVerifier, InsufficientScope, Refusal, require
from app.verifier.asgi import ASGIApplication, Receive, Scope, Send, TokenMiddleware, get_claims

AUDIENCE = os.environ["AUDIENCE"]
MOST_BYTES = 1_000_000
# What a tool needs beyond `notes.read`, which everything here needs.
TOOL_SCOPES = {"add_note": "notes.write"}
NOTES: dict[str, list[str]] = {}
server = MCPServer("Notes")
verifier = AccessTokenVerifier(
    issuer=os.environ["ISSUER"],
    audience=AUDIENCE,
    metadata={"resource_name": "Notes", "scopes_supported": ["notes.read"]},
)


def owner(context: Context[Any, Any]) -> str:
    """Whose notes these are: the person behind the token."""
    return get_claims(context.request_context.request.scope).subject


@server.tool()
def list_notes(context: Context[Any, Any]) -> list[str]:
    """All your notes."""
    return NOTES.get(owner(context), [])


@server.tool()
def add_note(text: str, context: Context[Any, Any]) -> str:
    """Keep a note."""
    NOTES.setdefault(owner(context), []).append(text)
    return f"kept for {owner(context)}"


class ToolScopes:
    """Asks for a tool's own scope: a client that lacks it is told to ask the person for more (RFC 6750, 403)."""

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request whose token is good."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await read_body(receive)
        needed = [TOOL_SCOPES[tool] for tool in called_tools(body) if tool in TOOL_SCOPES]
        if body is None or not set(needed) <= set(get_claims(scope).scope):
            wanted = require(["notes.read", *needed])
            refusal = Refusal(InsufficientScope("the tool needs more"), verifier=verifier, requirement=wanted)
            headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers]
            await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "http.response.body", "body": refusal.body})
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Any:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, receive_again, send)


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long or the client went away."""
    body = b""
    while len(body) <= MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body
    return None


def called_tools(body: bytes | None) -> list[str]:
    """The tools that a JSON-RPC message, or a batch of them, calls."""
    try:
        messages = json.loads(body or b"")
    except ValueError:
        return []
    calls = messages if isinstance(messages, list) else [messages]
    return [
        str(call["params"].get("name"))
        for call in calls
        if isinstance(call, dict) and call.get("method") == "tools/call" and isinstance(call.get("params"), dict)
    ]


where = urlsplit(AUDIENCE)
tools = server.streamable_http_app(
    streamable_http_path=where.path,
    stateless_http=True,
    json_response=True,
    transport_security=TransportSecuritySettings(allowed_hosts=[where.netloc]),
)
application = TokenMiddleware(ToolScopes(tools), verifier, scope="notes.read")

if __name__ == "__main__":
    uvicorn.run(application, host="127.0.0.1", port=where.port or 8405, log_level="warning")
