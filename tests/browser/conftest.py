"""One real Chromium for all browser tests of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

_CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, started once. Tests open contexts of their own and share no cookie."""
    if not _CHROMIUM.exists():
        sentence = f"{_CHROMIUM} is missing: run `make services` as root to install what the browser tests need."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(_CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def plain_phone(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of one's own, narrow and without scripts."""
    opened = chromium.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    yield opened
    opened.close()
