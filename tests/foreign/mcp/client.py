"""The official Python SDK's client, as its documentation shows one that logs a person in. JSON lines out and in."""

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

CONFIG = json.loads(os.environ["FOREIGN_CONFIG"])


class Kept:
    """Tokens and registration, in memory."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


async def open_browser(url: str) -> None:
    say({"authorization_url": url})


async def wait_for_callback() -> AuthorizationCodeResult:
    line = await asyncio.to_thread(sys.stdin.readline)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(line.strip()).query).items()}
    return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


async def main() -> None:
    kept = Kept()
    provider = OAuthClientProvider(
        server_url=CONFIG["server"],
        client_metadata=OAuthClientMetadata(
            client_name="Agent (Python)",
            redirect_uris=[CONFIG["redirect_uri"]],
            grant_types=["authorization_code", "refresh_token"],
            token_endpoint_auth_method="none",
        ),
        storage=kept,
        redirect_handler=open_browser,
        callback_handler=wait_for_callback,
        client_metadata_url=CONFIG.get("client_metadata_url"),
    )
    async with (
        httpx2.AsyncClient(auth=provider, follow_redirects=True) as http_client,
        Client(streamable_http_client(CONFIG["server"], http_client=http_client)) as client,
    ):
        before = await client.call_tool("list_notes", {})
        scopes = [kept.tokens.scope]
        written = []
        if CONFIG["writes"]:
            written = (await client.call_tool("add_note", {"text": "milk"})).content
            scopes.append(kept.tokens.scope)
        first = kept.tokens.refresh_token
        # What the SDK does when a token has ended: it refreshes, and nobody is asked.
        provider.context.token_expiry_time = 1
        after = await client.call_tool("list_notes", {})
    say(
        {
            "client_id": kept.client.client_id,
            "scopes": scopes,
            "notes": [[part.text for part in content] for content in (before.content, written, after.content)],
            "refreshed": kept.tokens.refresh_token != first,
        }
    )


try:
    asyncio.run(main())
except BaseException as error:
    say({"error": type(error).__name__, "message": repr(error)[:1000]})
    raise
