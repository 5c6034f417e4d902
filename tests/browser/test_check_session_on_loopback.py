"""The check-session iframe without TLS, as somebody meets it who writes an application on their own machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.world import World


@pytest.fixture
def app_url(world: World) -> Iterator[str]:
    """An application on another port of the same host: each of its pages keeps the server's frame."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'<!doctype html><title>App</title><iframe src="{world.issuer}/check-session"></iframe>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def ask(page: Page, world: World, message: str) -> str:
    answer: str = page.evaluate(
        """([message, issuer]) => new Promise((resolve) => {
          addEventListener("message", (event) => event.origin === issuer && resolve(event.data));
          document.querySelector("iframe").contentWindow.postMessage(message, issuer);
        })""",
        [message, world.issuer],
    )
    return answer


def test_on_http_loopback_the_iframe_works_for_applications_on_the_same_host(
    world: World, chromium: Browser, app_url: str
) -> None:
    account = world.operator.add_user()
    party = world.relying_party(redirect_uris=[f"{app_url}/callback"], policy={"skip_consent": True})
    context = chromium.new_context()
    page = context.new_page()
    page.goto(party.begin().url)
    page.locator("#login-form input[name=username]").fill(account.username)
    page.locator("#login-form input[name=password]").fill(account.password)
    page.locator("#login-submit").click()
    page.wait_for_url(f"{app_url}/callback?**")
    message = f"{party.client_id} {parse_qs(urlsplit(page.url).query)['session_state'][0]}"
    assert ask(page, world, message) == "unchanged"
    assert ask(page, world, f"x{message}") == "changed"
    context.close()
