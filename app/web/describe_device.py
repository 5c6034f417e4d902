"""What a browser says of itself, in the words in which people think of their devices."""

from functools import lru_cache

from ua_parser import parse

from app.web.display_text import one_line
from app.web.language import gettext

_LONGEST = 300
# Names that the table of browsers has for one browser on several devices.
_BROWSERS = {"Mobile Safari": "Safari", "Chrome Mobile": "Chrome", "Firefox Mobile": "Firefox", "Edge Mobile": "Edge"}


def describe_device(user_agent: str) -> str:
    """For instance "Firefox on Windows"; what no table knows is said to be an unknown device.

    A browser can claim to be any other: good for recognising one's own, not for trusting one.
    """
    browser, system = _read(user_agent[:_LONGEST])
    if browser is not None and system is not None:
        return gettext("%(browser)s on %(system)s", browser=browser, system=system)
    return browser or system or gettext("an unknown device")


# The tables are long: a page with one person's sessions asks about few browsers, often.
@lru_cache(maxsize=1024)
def _read(user_agent: str) -> tuple[str | None, str | None]:
    parsed = parse(user_agent)
    browser = parsed.user_agent.family if parsed.user_agent is not None else None
    system = parsed.os.family if parsed.os is not None else None
    return _short(_BROWSERS.get(browser or "", browser)), _short(system)


def _short(name: str | None) -> str | None:
    return one_line(name, 40) if name else None
