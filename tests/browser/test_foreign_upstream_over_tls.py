"""Signing in by npm's oidc-provider, unmodified, in real Chromium: our server over TLS, and a provider of others."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from app.services.manage_providers import add_provider
from benchmarks.node_peer import NodePeer, running_node_peer
from benchmarks.scenario import Scenario
from tests.browser.tls_stage import LOGIN_HOST, Certificates, make_certificates, serving
from tests.deployments import Operator, make_deployment, make_environment
from tests.server import free_port

NAME = "node-oidc-provider"
OURS = f"https://{LOGIN_HOST}"


def test_somebody_signs_in_by_oidc_provider(chromium: Browser, tmp_path: Path) -> None:
    port, certificates = free_port(), make_certificates(tmp_path, hosts=[LOGIN_HOST])
    environment = make_environment(
        issuer=OURS,
        database_url=f"sqlite:///{tmp_path}/tokenhouse.db",
        directory=tmp_path,
        outbound_allowed_networks="127.0.0.1/32",
        outbound_ca_bundle=str(certificates.ca_file),
    )
    scenario = Scenario(client_id="tokenhouse", redirect_uri=f"{OURS}/login/callback/{NAME}")
    with (
        contextlib.closing(Operator(make_deployment(environment))) as operator,
        running_node_peer(scenario, folder=tmp_path) as peer,
    ):
        document = {
            "name": NAME,
            "display_name": "Odd Accounts",
            "issuer": peer.issuer,
            "client_id": scenario.client_id,
            "client_secret": scenario.client_secret,
            "provisioning": "domain",
            "email_domains": ["example.com"],
            "trust_email": True,
        }
        add_provider(operator.deployment, document)
        with serving(environment, certificates, port), launched(chromium, certificates, port) as page:
            sign_in(page, peer, scenario)


@contextlib.contextmanager
def launched(chromium: Browser, certificates: Certificates, port: int) -> Iterator[Page]:
    """A page of a Chromium that knows our name, and takes the certificate."""
    arguments = [
        "--no-sandbox",
        f"--host-resolver-rules=MAP {LOGIN_HOST}:443 127.0.0.1:{port}",
        f"--ignore-certificate-errors-spki-list={certificates.public_key_digest}",
        "--disable-features=LocalNetworkAccessChecks",
    ]
    browser = chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=arguments)
    try:
        yield browser.new_context(locale="en").new_page()
    finally:
        browser.close()


def sign_in(page: Page, peer: NodePeer, scenario: Scenario) -> None:
    """Away to the provider, through its own pages, and back to where it began: an account was made."""
    page.set_default_timeout(15_000)
    page.goto(f"{OURS}/account")
    page.locator(f"#continue-with-{NAME}").click()
    page.wait_for_url(re.compile(re.escape(peer.issuer)))
    page.locator("input[name=username]").fill(scenario.username)
    page.locator("input[name=password]").fill(scenario.password)
    page.locator("#login-submit").click()
    page.locator("#consent-allow").click()
    page.wait_for_url(f"{OURS}/account")
    expect(page.locator("body")).to_contain_text("grace@example.com")
    # What the browser has is ours, and nothing of it is the provider's to read.
    assert {cookie["secure"] for cookie in page.context.cookies(OURS)} == {True}
