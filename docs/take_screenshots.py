"""Takes the pictures of this folder anew: `.venv/bin/python -m docs.take_screenshots`, in the checkout.

The real server and the demonstration's application over TLS, in a real Chromium; light and dark.
"""

import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from app.services.manage_users import NewUser, add_user
from tests.browser.tls_stage import Stage, tls_stage
from tests.deployments import PASSWORD

HERE = Path(__file__).parent
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def take(browser: Browser, stage: Stage, scheme: Literal["light", "dark"], username: str) -> None:
    """The pages of one sign-in, in its order."""
    ending = "" if scheme == "light" else "-dark"
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 600, "height": 480}, device_scale_factor=1.5, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{stage.app_url}/sign-in")
    # The caret would be in the picture, or not.
    page.locator("#username").blur()
    save(page, f"login{ending}")
    page.locator("input[name=username]").fill(username)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("#login-submit").click()
    page.locator("#consent-form").wait_for()
    consent_url = page.url
    save(page, f"consent{ending}")
    page.locator("#consent-allow").click()
    page.locator("#photos").wait_for()
    page.goto(consent_url)
    page.locator("#error-page").wait_for()
    save(page, f"error{ending}")
    context.close()


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
            person = NewUser(username=username, email=f"{username}@example.org", password=PASSWORD)
            add_user(stage.operator.deployment, person)
            take(browser, stage, scheme, username)
        browser.close()
        chromium.close()


if __name__ == "__main__":
    main()
