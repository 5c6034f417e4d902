"""An authenticator app in real Chromium, by keyboard alone and without scripts, up to an API that asks for it."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import segno
from playwright.sync_api import BrowserContext, Page

from app.specs.rfc6238_totp import otpauth_uri
from tests.actors.authenticator import Authenticator
from tests.actors.relying_party import Pending, RelyingParty, Tokens
from tests.browser.keyboard import fill, log_in, press
from tests.deployments import Account
from tests.web.test_step_up import MFA, PWD, challenge_of, make_api
from tests.world import World

pytestmark = pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)


def enter_code(page: Page, code: str) -> None:
    fill(page, "#second-factor-form #code", code)
    press(page, "#second-factor-submit")


def finish(page: Page, party: RelyingParty, pending: Pending) -> Tokens:
    """Consent where asked, and what the client gets for the code that it is sent."""
    if "/consent" in page.url:
        press(page, "#consent-allow")
    answer = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
    assert answer["state"] == pending.state, page.url
    return party.exchange(answer["code"], pending)


def enrol(page: Page, world: World, account: Account) -> tuple[Authenticator, list[str]]:
    """Set up an app: the key is in the picture and beside it."""
    page.goto(f"{world.issuer}/account/security")
    log_in(page, account)
    press(page, "#totp-add")
    key = page.locator("#totp-key").get_attribute("data-key") or ""
    assert page.locator("#totp-key").inner_text().replace(" ", "") == key
    app = Authenticator(key, world.clock)
    uri = otpauth_uri(app.secret, issuer="Tokenhouse", account=account.username)
    drawn = re.findall(r' d="([^"]+)"', segno.make(uri, error="m").svg_inline(border=4))
    assert page.locator("svg.qr-code path").last.get_attribute("d") == drawn[-1]
    assert page.locator("svg.qr-code").bounding_box()["width"] > 150  # type: ignore[index]
    fill(page, "#totp-form #code", app.code())
    press(page, "#totp-submit")
    return app, page.locator("#recovery-codes code").all_inner_texts()


def test_from_an_app_that_is_set_up_to_an_api_that_asks_for_it(world: World, plain_phone: BrowserContext) -> None:
    page, account = plain_phone.new_page(), world.operator.add_user()
    resource = world.operator.add_resource()
    # Something has to answer where the browser is sent with the code: a path of the server's that takes no notice.
    party, api = world.relying_party(redirect_uris=[f"{world.issuer}/livez"]), make_api(world, resource)
    wish = {"scope": "openid photos.read", "resource": resource}
    app, recovery_codes = enrol(page, world, account)
    assert len(recovery_codes) == 10

    # The session is one by password still: good for photos, not enough for payments.
    pending = party.begin(**wish)
    page.goto(pending.url)
    weak = finish(page, party, pending)
    assert api.get("/photos", headers={"Authorization": f"Bearer {weak.access_token}"}).json == {"acr": PWD}
    refused = api.get("/payments", headers={"Authorization": f"Bearer {weak.access_token}"})
    challenge = challenge_of(refused)
    assert challenge["error"] == "insufficient_user_authentication"

    # The client asks for what the API says, and the person steps up.
    pending = party.begin(**wish, acr_values=challenge["acr_values"], max_age=challenge["max_age"])
    page.goto(pending.url)
    assert "/second-factor" in page.url
    enter_code(page, "000000" if app.next_code() != "000000" else "111111")
    assert page.locator("#second-factor-error").is_visible()
    enter_code(page, app.code())
    strong = finish(page, party, pending)
    assert api.get("/payments", headers={"Authorization": f"Bearer {strong.access_token}"}).json == {"acr": MFA}

    # A new browser: by password and app, and once more by password and a recovery code.
    plain_phone.clear_cookies()
    pending = party.begin(**wish)
    page.goto(pending.url)
    log_in(page, account)
    enter_code(page, app.next_code())
    assert finish(page, party, pending).id_claims["acr"] == MFA
    plain_phone.clear_cookies()
    pending = party.begin(**wish)
    page.goto(pending.url)
    log_in(page, account)
    press(page, "#second-factor-other")
    enter_code(page, recovery_codes[7])
    assert "You have 9 left." in page.locator("#recovery-codes-left").inner_text()
    press(page, "#recovery-continue")
    assert finish(page, party, pending).id_claims["acr"] == MFA
