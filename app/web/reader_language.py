"""In which language a request is answered: what the person chose here, what the application asked for, what the browser
says, English.

No cookie remembers any of it. `ui_locales` (OpenID Connect Core 3.1.2.1) stays with the pending sign-in; what is no
language tag is passed over, because all of these are hints that anybody can write.
"""

import re
from collections.abc import Iterable
from datetime import tzinfo
from functools import lru_cache
from typing import Final

from flask import Flask, Response, g, request

from app.services.deployment import Deployment
from app.services.preferences import find_preferences
from app.specs.oidc_claims_request import parse_claims_locales
from app.specs.protocol_error import InvalidRequest
from app.storage.sessions import SessionRow
from app.web.language import current, find_language, speak
from app.web.site import read_query

MAX_HEADER_CHARACTERS: Final = 1000
MAX_RANGES: Final = 20
# RFC 9110 12.5.4, RFC 4647 2.1: a language range and its weight. Bounded, so that it takes linear time.
_RANGE: Final = re.compile(
    r"[ \t]{0,10}(?P<tag>[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,7}|\*)"
    r"(?:[ \t]{0,10};[ \t]{0,10}[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]{0,10}",
    re.ASCII,
)
# OpenID Connect Core 3.1.2.1 and RP-Initiated Logout 2 have the parameter.
_PATHS: Final = frozenset({"/authorize", "/logout"})


def add_language(app: Flask) -> None:
    """Let every request begin in its own language; before anything that may have to say something."""

    @app.before_request
    def begin() -> None:
        g.from_browser = parse_accept_language(request.headers.get("Accept-Language", ""))
        g.from_application = _asked_in_the_query() if request.path in _PATHS else ()
        g.from_person = ()
        _choose(None)

    @app.after_request
    def end(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers["Content-Language"] = current().tag
            response.vary.add("Accept-Language")
        speak(None)
        return response


def parse_accept_language(header: str) -> tuple[str, ...]:
    """The language tags of an `Accept-Language` header, the most wanted first. Junk in it is passed over."""
    return _parse_accept_language(header[:MAX_HEADER_CHARACTERS])


# A few dozen headers are what nearly all browsers send. Bounded, because any header can be made up.
@lru_cache(maxsize=256)
def _parse_accept_language(header: str) -> tuple[str, ...]:
    found = []
    for part in header.split(",")[:MAX_RANGES]:
        match = _RANGE.fullmatch(part)
        weight = 0.0 if match is None else float(match["weight"] or 1)
        # Whoever takes anything gets what would come without a wish: English.
        if match is not None and weight > 0:
            found.append((weight, "en" if match["tag"] == "*" else match["tag"]))
    return tuple(tag for _weight, tag in sorted(found, key=lambda one: -one[0]))


def heed_application(ui_locales: Iterable[str]) -> None:
    """From here on in this request, what the application asked for counts more than what the browser says."""
    g.from_application = tuple(ui_locales)
    _choose(None)


def heed_person(deployment: Deployment, session: SessionRow | None) -> None:
    """From here on in this request, what somebody who is signed in chose for their account counts most."""
    if session is None:
        return
    preferences = find_preferences(deployment, session.user_id)
    g.from_person = () if preferences.locale is None else (preferences.locale,)
    _choose(preferences.zone)


def _choose(zone: tzinfo | None) -> None:
    speak(find_language((*g.from_person, *g.from_application, *g.from_browser)), zone)


def _asked_in_the_query() -> tuple[str, ...]:
    try:
        return parse_claims_locales(read_query().get("ui_locales"))
    except InvalidRequest:
        return ()
