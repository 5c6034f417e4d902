"""A look reaches the pages: the server's as a stylesheet of its own, a client's over HTTP, and nobody else's."""

import base64
import json
import re
from pathlib import Path

import pytest

from app.settings import ServerAppearance, SettingsError, load_settings
from app.web.language import speaking
from app.web.look import Looks
from app.web.pages import look_of
from tests.actors.http import send
from tests.web.page_samples import CONSENT, LOGIN
from tests.world import World

APPEARANCE = {
    "accent": "#7a2e8e",
    "corner_radius_px": 2,
    "texts": {
        "en": {
            "title": "Welcome to <Prints>",
            "subtitle": "One account for all of it.",
            "footer": "Prints Ltd",
            "links": [{"text": "Help", "uri": "https://prints.example/help"}],
        },
        "de": {"title": "Willkommen bei Prints"},
    },
}


@pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
def test_a_client_looks_as_its_operator_says(world: World) -> None:
    party = world.relying_party(policy={"appearance": APPEARANCE})
    browser = world.browser()
    page = browser.get(party.begin().url)
    assert "<h1><bdi>Welcome to &lt;Prints&gt;</bdi></h1>" in page.text
    assert 'href="https://prints.example/help"' in page.text
    assert "Prints Ltd" in page.text
    theme = re.search(r'href="(/static/theme\.[0-9a-f]{16}\.css\?client=[^"]+)"', page.text)
    assert theme is not None
    sheet = send(f"{world.url}{theme[1]}")
    assert sheet.text.startswith(":root{--accent:#7a2e8e;")
    assert sheet.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert sheet.headers["content-type"] == "text/css; charset=utf-8"
    browser.headers["Accept-Language"] = "de"
    assert "Willkommen bei Prints" in browser.get(party.begin().url).text
    # Nobody else's pages.
    assert "theme." not in browser.get(world.relying_party().begin().url).text
    assert "theme." not in browser.get(f"{browser.issuer}/").text


def to_data_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


@pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
def test_a_client_has_the_logo_that_its_operator_gives_it(world: World) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'
    party = world.relying_party(policy={"appearance": {"logo": to_data_url(svg), "logo_shows_name": True}})
    browser = world.browser()
    page = browser.get(party.begin().url)
    image = re.search(
        r'<img class="own-logo" src="(/static/logo\.[0-9a-f]{16}\.svg\?client=[^"]+)" alt="([^"]+)">', page.text
    )
    assert image is not None
    logo = send(f"{world.url}{image[1]}")
    assert (logo.status, logo.body) == (200, svg)
    assert logo.headers["content-type"] == "image/svg+xml"
    assert logo.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "sandbox" in logo.headers["content-security-policy"]
    # Nobody else's pages, and none of another client's address.
    assert "own-logo" not in browser.get(world.relying_party().begin().url).text
    other = world.relying_party().client_id
    assert send(f"{world.url}{image[1].partition('?')[0]}?client={other}").status == 404
    assert send(f"{world.url}{image[1].partition('?')[0]}").status == 404


@pytest.mark.parametrize("shared_world", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "path", ["theme.0123456789abcdef.css", "theme.0123456789abcdef.css?client=nobody", "logo.0123456789abcdef.svg"]
)
def test_a_look_that_nobody_has_is_not_found(world: World, path: str) -> None:
    assert send(f"{world.url}/static/{path}").status == 404


def test_a_server_has_a_logo_and_colours(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    looks = Looks(ServerAppearance.model_validate({**APPEARANCE, "logo_file": logo}), base_path="/id")
    look = look_of(looks, CONSENT)
    assert look.logo_url is not None
    assert look.theme_url is not None
    assert re.fullmatch(r"/id/static/logo\.[0-9a-f]{16}\.svg", look.logo_url)
    assert re.fullmatch(r"/id/static/theme\.[0-9a-f]{16}\.css", look.theme_url)
    found = looks.find_logo(look.logo_url.rpartition("/")[2], None)
    assert found is not None
    assert found[1]["Content-Type"] == "image/svg+xml"
    assert "sandbox" in found[1]["Content-Security-Policy"]
    stale = looks.find_theme("theme.0000000000000000.css", None)
    assert stale is not None
    assert stale[1]["Cache-Control"] == "no-store"
    with speaking("de"):
        assert look_of(looks, LOGIN).title == "Willkommen bei Prints"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"accent": "#ffcc00"}, "#856a00 would do"),
        ({"logo_file": "/nowhere/logo.svg"}, "logo_file: no file at /nowhere/logo.svg"),
        ({"logo_file": "/etc/passwd"}, "logo_file: must be SVG, PNG or WebP"),
        ({"logo": "data:image/png;base64,PHN2Zz4="}, "logo: says image/png and is image/svg+xml"),
        ({"logo": "https://prints.example/logo.svg"}, "logo: must be data:image/svg+xml;base64,"),
        ({"logo": "data:image/png;base64,PHN2Z"}, "logo: is not base64"),
        ({"logo": to_data_url(b"<svg>" + b" " * 6000)}, "logo: has 6005 bytes"),
        ({"logo_shows_name": True}, "logo_shows_name: needs a logo beside it"),
        ({"colour": "#000000"}, "Extra inputs are not permitted"),
        ({"texts": {"en": {"title": "a\nb"}}}, "must be visible text"),
    ],
    ids=[
        "pale",
        "no logo",
        "no picture",
        "other type",
        "elsewhere",
        "no base64",
        "large",
        "shows none",
        "no such member",
        "two lines",
    ],
)
def test_130_a_look_that_will_not_do_stops_the_start(value: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"TOKENHOUSE_APPEARANCE": json.dumps(value)})
    assert str(refused.value).startswith("TOKENHOUSE_APPEARANCE: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("setting", ["REGISTRATION_POLICY", "CLIENT_ID_METADATA_DOCUMENTS_POLICY"])
def test_clients_that_come_unasked_have_no_look_of_their_own(setting: str) -> None:
    with pytest.raises(SettingsError, match="not for those that come by themselves"):
        load_settings({f"TOKENHOUSE_{setting}": json.dumps({"appearance": {"accent": "#7a2e8e"}})})
