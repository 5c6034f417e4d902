"""Passkeys in real Chromium, over TLS, with its virtual authenticator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.actors.relying_party import challenge_of
from tests.browser.barriers import find_barriers
from tests.browser.tls_stage import CLIENT_ID, Stage, tls_stage

INTERNAL = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with tls_stage(tmp_path) as running:
        yield running


class Device:
    """Chromium's virtual authenticator, built into the device: by default its owner is there and agrees."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})
        answer = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": INTERNAL})
        self._id: str = answer["authenticatorId"]

    def set_verified(self, is_verified: bool) -> None:
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": is_verified})

    @property
    def keys(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})[
            "credentials"
        ]
        return found


def request_url(stage: Stage, **changes: str) -> str:
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": f"{stage.app_url}/callback",
        "scope": "openid",
        "state": "s",
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{stage.issuer}/authorize?{urlencode(parameters)}"


def sign_out(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.issuer}/logout")
    page.locator("#logout-confirm").click()
    expect(page.locator("#logged-out")).to_be_visible()


# The virtual authenticator's owner agrees at once to whatever the browser could fill in, so a page waits for that only
# where the test says so; elsewhere the browser is one that does not do it.
ONLY_WHERE_SAID = """
  PublicKeyCredential.isConditionalMediationAvailable = async () => sessionStorage.getItem("fills-in") === "yes";
"""


def test_a_passkey_from_the_first_to_the_last_day(stage: Stage, chromium: Browser) -> None:
    person = stage.operator.add_user(name="Grace Hopper")
    browser = stage.launch(chromium)
    page = browser.new_page()
    page.add_init_script(ONLY_WHERE_SAID)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    device = Device(page)
    consent_form = page.locator("#consent-form")

    def log_in() -> None:
        page.locator("#username").fill(person.username)
        page.locator("#password").fill(person.password)
        page.locator("#login-submit").click()

    # ----- Made -----
    page.goto(f"{stage.issuer}/account/security")
    expect(page.locator("#passkey-submit")).to_be_visible()
    log_in()
    page.locator("#passkey-name").fill("Work laptop")
    page.locator("#passkey-add").click()
    expect(page.locator("#done")).to_contain_text("Work laptop")
    assert [key["rpId"] for key in device.keys] == ["login.tokenhouse.test"]
    assert find_barriers(page) == []

    # ----- A login that was by password, made stronger -----
    page.goto(request_url(stage, acr_values="phr"))
    page.wait_for_url("**/second-factor?**")
    assert find_barriers(page) == []
    page.locator("#passkey-submit").click()
    expect(consent_form).to_be_visible()

    # ----- Signing in by the button, at the second try -----
    sign_out(page, stage)
    page.goto(request_url(stage))
    device.set_verified(False)
    page.locator("#passkey-submit").click()
    expect(page.locator("[data-problem=NotAllowedError]")).to_be_visible()
    assert find_barriers(page) == []
    device.set_verified(True)
    page.locator("#passkey-submit").click()
    expect(consent_form).to_be_visible()

    # ----- By what the browser fills in, without a click -----
    sign_out(page, stage)
    page.evaluate("sessionStorage.setItem('fills-in', 'yes')")
    page.goto(request_url(stage))
    expect(consent_form).to_be_visible()
    page.evaluate("sessionStorage.setItem('fills-in', 'no')")

    # ----- Beside a password -----
    sign_out(page, stage)
    page.goto(request_url(stage))
    log_in()
    page.wait_for_url("**/second-factor?**")
    page.locator("#passkey-submit").click()
    expect(consent_form).to_be_visible()

    # ----- Removed -----
    page.goto(f"{stage.issuer}/account/security")
    page.locator("#passkeys summary").click()
    page.locator(".passkey-remove button").click()
    expect(page.locator("#done")).to_contain_text("Work laptop")
    sign_out(page, stage)
    page.goto(request_url(stage))
    page.locator("#passkey-submit").click()
    expect(page.locator("#login-error")).to_be_visible()
    assert complaints == []
    browser.close()
