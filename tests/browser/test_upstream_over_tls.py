"""Signing in by a second Tokenhouse in real Chromium, over TLS: link, sign in, unlink."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.services.manage_providers import add_provider
from tests.browser.tls_stage import LOGIN_HOST, Certificates, make_certificates, serving
from tests.deployments import Account, Operator, make_deployment, make_environment
from tests.server import free_port

# A name that the server itself finds, too: it asks the provider behind the browser's back.
THEIR_HOST = "localhost"
THEIRS = re.compile(rf"^https://{THEIR_HOST}:\d+/login\?")


@dataclass(frozen=True, kw_only=True)
class TwoServers:
    """Ours, and the provider; both serve."""

    ours: Operator
    theirs: Operator
    certificates: Certificates
    port: int
    url: str = f"https://{LOGIN_HOST}"

    def launch(self, chromium: Browser) -> Browser:
        """A Chromium that knows our name, and takes the certificate."""
        arguments = [
            "--no-sandbox",
            f"--host-resolver-rules=MAP {LOGIN_HOST}:443 127.0.0.1:{self.port}",
            f"--ignore-certificate-errors-spki-list={self.certificates.public_key_digest}",
            "--disable-features=LocalNetworkAccessChecks",
        ]
        return chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=arguments)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[TwoServers]:
    certificates = make_certificates(tmp_path, hosts=[LOGIN_HOST, THEIR_HOST])
    our_port, their_port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        operators = []
        for name, issuer, port in (
            ("ours", f"https://{LOGIN_HOST}", our_port),
            ("theirs", f"https://{THEIR_HOST}:{their_port}", their_port),
        ):
            directory = tmp_path / name
            directory.mkdir()
            environment = make_environment(
                issuer=issuer,
                database_url=f"sqlite:///{directory}/tokenhouse.db",
                directory=directory,
                outbound_allowed_networks="127.0.0.1/32,::1/128",
                outbound_ca_bundle=str(certificates.ca_file),
                server_name="Meadow Accounts" if name == "theirs" else "Tokenhouse",
            )
            operators.append(stack.enter_context(contextlib.closing(Operator(make_deployment(environment)))))
            stack.enter_context(serving(environment, certificates, port))
        ours, theirs = operators
        client = theirs.add_client(
            client_name="Tokenhouse", redirect_uris=[f"https://{LOGIN_HOST}/login/callback/meadow"]
        )
        document = {
            "name": "meadow",
            "display_name": "Meadow Accounts",
            "issuer": f"https://{THEIR_HOST}:{their_port}",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        add_provider(ours.deployment, document)
        yield TwoServers(ours=ours, theirs=theirs, certificates=certificates, port=our_port)


def fill_in(page: Page, account: Account) -> None:
    page.locator("input[name=username]").fill(account.username)
    page.locator("input[name=password]").fill(account.password)
    page.locator("#login-submit").click()


def test_a_login_elsewhere_is_linked_used_and_unlinked(servers: TwoServers, chromium: Browser) -> None:
    here, there = servers.ours.add_user(), servers.theirs.add_user()
    browser = servers.launch(chromium)
    try:
        page = browser.new_context().new_page()
        page.goto(f"{servers.url}/account/logins")
        fill_in(page, here)
        page.locator("#link-meadow").click()
        page.wait_for_url(THEIRS)
        fill_in(page, there)
        page.locator("#consent-allow").click()
        expect(page.get_by_role("status")).to_contain_text("linked to your account")
        # Another browser, in which nobody is signed in anywhere.
        page = browser.new_context().new_page()
        page.goto(f"{servers.url}/account")
        page.locator("#continue-with-meadow").click()
        page.wait_for_url(THEIRS)
        fill_in(page, there)
        page.wait_for_url(f"{servers.url}/account")
        expect(page.locator(".account-person")).to_contain_text(here.username)
        page.goto(f"{servers.url}/account/logins")
        page.locator(".unlink").click()
        expect(page.get_by_role("status")).to_contain_text("no longer linked to Meadow Accounts")
        # The same browser is signed in there still, and that is worth nothing here any more.
        page = page.context.new_page()
        page.context.clear_cookies(domain=LOGIN_HOST)
        page.goto(f"{servers.url}/account")
        page.locator("#continue-with-meadow").click()
        expect(page.locator("#error-page")).to_contain_text("No account here is linked")
    finally:
        browser.close()
