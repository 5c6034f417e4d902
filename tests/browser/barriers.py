"""What axe finds on a page. Only what is wrong leaves the browser: the whole report takes longer than the looking."""

from collections.abc import Mapping
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_SCRIPT = Axe().axe_script
_BROKEN_RULES = """options => axe.run(options).then(report =>
    report.violations.map(rule => `${rule.id}: ${rule.nodes.map(node => node.html).join(" ")}`))"""


def find_barriers(page: Page, options: Mapping[str, Any] | None = None) -> list[str]:
    """Each rule of axe that the page breaks, with the elements that break it; `options` as axe's own."""
    page.evaluate(_SCRIPT)
    findings: list[str] = page.evaluate(_BROKEN_RULES, {"resultTypes": ["violations"], **(options or {})})
    return findings
