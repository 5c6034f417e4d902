"""Takes the pictures of this folder anew: `.venv/bin/python -m docs.take_screenshots`, in the checkout.

The real server and the demonstration's application over TLS, in a real Chromium; light and dark.
"""

import base64
import tempfile
import time
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from app.services.manage_users import NewUser, add_user
from app.specs.rfc6238_totp import make_code, step_of
from tests.browser.tls_stage import LOGIN_HOST, Stage, tls_stage
from tests.deployments import PASSWORD

HERE = Path(__file__).parent
ISSUER = f"https://{LOGIN_HOST}"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def take(browser: Browser, stage: Stage, scheme: Literal["light", "dark"], username: str) -> None:
    """The pages of one sign-in, in its order."""
    ending = "" if scheme == "light" else "-dark"
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 600, "height": 480}, device_scale_factor=1.15, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{stage.app_url}/sign-in")
    # The caret would be in the picture, or not.
    page.locator("#username").blur()
    save(page, f"login{ending}")
    fill_in(page, username)
    page.locator("#consent-form").wait_for()
    consent_url = page.url
    save(page, f"consent{ending}")
    page.locator("#consent-allow").click()
    page.locator("#photos").wait_for()
    page.goto(consent_url)
    page.locator("#error-page").wait_for()
    save(page, f"error{ending}")
    page.set_viewport_size({"width": 760, "height": 480})
    page.goto(f"{ISSUER}/account/applications")
    page.locator("h1").wait_for()
    save(page, f"account-applications{ending}")
    context.close()


def take_in_arabic(browser: Browser, stage: Stage) -> None:
    """The consent page as Arabic readers get it, on a phone."""
    add_person(stage, "mariam")
    context = browser.new_context(locale="ar", viewport={"width": 390, "height": 480}, device_scale_factor=1.25)
    page = context.new_page()
    sign_in(page, stage, "mariam")
    page.locator("#consent-form").wait_for()
    save(page, "consent-ar")
    context.close()


def take_second_factor(browser: Browser, stage: Stage) -> None:
    """The page that asks for the code of an authenticator app, which is set up first."""
    add_person(stage, "hedy")
    context = browser.new_context(viewport={"width": 600, "height": 480}, device_scale_factor=1.25)
    page = context.new_page()
    page.goto(f"{ISSUER}/account/security")
    fill_in(page, "hedy")
    page.locator("#totp-add").click()
    key = page.locator("#totp-key").get_attribute("data-key") or ""
    secret = base64.b32decode(key + "=" * (-len(key) % 8))
    page.locator("#totp-form #code").fill(make_code(secret, step_of(time.time())))
    page.locator("#totp-submit").click()
    page.locator("#recovery-codes").wait_for()
    context.clear_cookies()
    sign_in(page, stage, "hedy")
    page.locator("#second-factor-form").wait_for()
    page.locator("#code").blur()
    save(page, "second-factor")
    context.close()


def add_person(stage: Stage, username: str) -> None:
    """A person with the password of the tests."""
    person = NewUser(username=username, email=f"{username}@example.org", password=PASSWORD)
    add_user(stage.operator.deployment, person)


def sign_in(page: Page, stage: Stage, username: str) -> None:
    """From the application to whatever comes after the login page."""
    page.goto(f"{stage.app_url}/sign-in")
    fill_in(page, username)


def fill_in(page: Page, username: str) -> None:
    """The login page."""
    page.locator("input[name=username]").fill(username)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("#login-submit").click()


def save(page: Page, name: str) -> None:
    """The whole page, as high as it is."""
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    page.screenshot(path=HERE / f"{name}.png", full_page=True, animations="disabled")


def main() -> None:
    """Take them all."""
    with (
        tempfile.TemporaryDirectory() as directory,
        tls_stage(Path(directory)) as stage,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        browser = stage.launch(chromium)
        for username, scheme in zip(("ada", "grace"), SCHEMES, strict=True):
            add_person(stage, username)
            take(browser, stage, scheme, username)
        take_in_arabic(browser, stage)
        take_second_factor(browser, stage)
        browser.close()
        chromium.close()


if __name__ == "__main__":
    main()
