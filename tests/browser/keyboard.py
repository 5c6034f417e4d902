"""A person without a mouse: the Tab key to what is wanted, and a key to use it. What has the focus must show it."""

from playwright.sync_api import Locator, Page

from tests.deployments import Account

_MOST_STEPS = 80


def tab_to(page: Page, selector: str) -> Locator:
    """Press Tab until the one thing that the selector names has the focus; it, and its ring can be seen."""
    wanted = page.locator(selector)
    for _ in range(_MOST_STEPS):
        if wanted.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"the keyboard does not reach {selector} on {page.url}")
    ring = wanted.evaluate(
        "element => [element, element.parentElement].map(getComputedStyle)"
        ".some(style => style.outlineStyle !== 'none' || style.boxShadow !== 'none')"
    )
    assert ring, f"nothing shows that {selector} has the focus on {page.url}"
    return wanted


def press(page: Page, selector: str) -> None:
    """Press what is reached by the keyboard, and wait for the next page."""
    tab_to(page, selector)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def toggle(page: Page, selector: str) -> None:
    """Tick a box or untick it, open what is folded or fold it."""
    tab_to(page, selector)
    page.keyboard.press("Space")


def fill(page: Page, selector: str, text: str) -> None:
    """Write into a field, in the place of what stands there."""
    tab_to(page, selector)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def log_in(page: Page, account: Account) -> None:
    """On the page to sign in at."""
    fill(page, "#username", account.username)
    fill(page, "#password", account.password)
    press(page, "#login-submit")
