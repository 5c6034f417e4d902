"""What the pages contain: the names that other programs drive them by, and nothing that a client could smuggle in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.web import pages
from app.web.static_files import favicon_url, passkeys_script_url, stylesheet_url
from tests.web.page_elements import Elements, render
from tests.web.page_samples import CONSENT, ERROR, HOME, LOGIN, SAMPLES, make_page_app
from tests.web.sample_parts import CUSTOM, DOCUMENT, LOOPBACK, NASTY_CLIENT, PHOTO_PRINTS, PHOTOS


@pytest.fixture(autouse=True)
def _page_context() -> Iterator[None]:
    with make_page_app().test_request_context():
        yield


# ----- Every page -----


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_has_no_script_but_one_no_inline_style_and_nothing_from_elsewhere(name: str) -> None:
    page = Elements(render(name))
    # Of scripts only the module that asks for a passkey, which is ours.
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert all(script["src"] == passkeys_script_url("") for script in scripts)
    assert len(scripts) == (1 if any("data-passkey" in attributes for _, attributes in page.tags) else 0)
    loaded = {"style", "iframe", "frame", "object", "embed", "base", "audio", "video", "source"}
    assert not loaded & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in {"style", "srcset", "ping"}], tag
        address = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        assert address is None or (address.startswith("/") and not address.startswith("//")), (tag, address)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_has_landmarks_one_heading_and_references_that_lead_somewhere(name: str) -> None:
    page = Elements(render(name))
    assert page.one("html")["lang"] == "en"
    for landmark in ("header", "main", "footer", "h1", "title"):
        page.one(landmark)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for key in ("for", "aria-describedby", "aria-labelledby"):
            assert set((attributes.get(key) or "").split()) <= set(ids)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith("nasty")])
def test_markup_and_template_expressions_in_what_others_chose_stay_text(name: str) -> None:
    html = render(name)
    assert "<script" not in html
    assert "<b>" not in html
    assert "<img src=x" not in html
    assert "49" not in Elements(html).text
    assert "alert(1)" in Elements(html).text


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith("nasty")])
def test_no_bidirectional_control_reaches_a_page(name: str) -> None:
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c") & set(render(name))


def test_the_stylesheet_and_the_links_stand_beneath_the_issuers_path() -> None:
    with make_page_app("/auth").test_request_context():
        page = Elements(pages.render_login(LOGIN))
    assert page.one("link", rel="stylesheet")["href"] == stylesheet_url("/auth")
    assert page.one("link", rel="icon")["href"] == favicon_url("/auth")
    assert page.all("a", href="/auth/")


# ----- The client's card -----


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "http://prints.example/",
        "https://user@prints.example/",
        "https:///nowhere",
        "//prints.example/",
        "/relative",
        "https://prints.example\\@evil.example/",
        "https://prints.example/ x",
        "\tjavascript:alert(1)",
        "https://prints.example/\n",
        "https://рrints.example/",
        "https://[::1/",
        "https://prints.example:99999/",
        "",
        None,
    ],
)
def test_a_client_link_that_is_not_plainly_https_is_not_rendered(uri: str | None) -> None:
    client = replace(PHOTO_PRINTS, client_uri=uri, policy_uri=uri, tos_uri=uri)
    page = Elements(pages.render_consent(replace(CONSENT, client=client)))
    assert [attributes["href"] for attributes in page.all("a")] == ["/"]


@pytest.mark.parametrize("uri", ["https://prints.example/a?b=c#d", "http://127.0.0.1:8080/", "http://[::1]/x"])
def test_a_safe_client_link_gives_away_nothing_about_this_page(uri: str) -> None:
    page = Elements(pages.render_login(replace(LOGIN, client=replace(PHOTO_PRINTS, client_uri=uri))))
    link = page.one("a", href=uri)
    assert {"noopener", "noreferrer"} <= set((link["rel"] or "").split())
    assert link["referrerpolicy"] == "no-referrer"


@pytest.mark.parametrize("logo_url", ["https://evil.example/pixel.png", "//evil.example/pixel.png", "/\\evil", None])
def test_a_logo_that_is_not_on_our_origin_is_replaced_by_a_letter(logo_url: str | None) -> None:
    page = Elements(pages.render_login(replace(LOGIN, client=replace(PHOTO_PRINTS, logo_url=logo_url))))
    assert not page.all("img")
    assert "P Photo Prints asks you" in page.text


def test_a_client_whose_name_is_invisible_is_called_by_its_id() -> None:
    client = replace(PHOTO_PRINTS, client_name="\u200b\u2800\u3164\u202e \u200d")
    page = Elements(pages.render_login(replace(LOGIN, client=client)))
    assert "photo-prints asks you to sign in" in page.text


def test_a_clients_name_stands_in_its_card_and_in_no_sentence_of_ours() -> None:
    client = replace(PHOTO_PRINTS, client_name="Verified by Meadow")
    for html in (
        pages.render_login(replace(LOGIN, client=client)),
        pages.render_consent(replace(CONSENT, client=client, asks_more=True)),
    ):
        assert html.count("Verified by Meadow") == 1
        assert '<bdi class="client-name">Verified by Meadow</bdi>' in html


# ----- Consent -----


def test_the_consent_form_has_the_fixed_names() -> None:
    page = Elements(render("consent"))
    form = page.one("form", id="consent-form")
    assert (form["method"], form["action"]) == ("post", "/consent")
    assert page.one("input", name="transaction")["value"] == "transaction-value"
    assert page.one("input", name="csrf_token")["value"] == "csrf-value"
    for button, value in (("consent-allow", "allow"), ("consent-deny", "deny")):
        attributes = page.one("button", id=button)
        assert (attributes["name"], attributes["value"], attributes["type"]) == ("decision", value, "submit")


def test_every_scope_is_a_checkbox_ticked_as_given_and_a_required_one_is_disabled_too() -> None:
    page = Elements(render("consent"))
    asked = [*CONSENT.identity_scopes, *PHOTOS.scopes]
    boxes = page.all("input", type="checkbox", name="scope")
    assert [box["value"] for box in boxes] == [scope.value for scope in asked]
    assert ["checked" in box for box in boxes] == [scope.checked for scope in asked]
    assert ["disabled" in box for box in boxes] == [scope.required for scope in asked]
    for scope in asked:
        assert scope.description in page.text
        assert scope.name in page.text


def test_a_required_scope_is_ticked_even_where_it_was_declined_before() -> None:
    required = replace(PHOTOS.scopes[0], checked=False)
    page = Elements(
        pages.render_consent(replace(CONSENT, identity_scopes=(), resources=(replace(PHOTOS, scopes=(required,)),)))
    )
    box = page.one("input", name="scope")
    assert "checked" in box
    assert "disabled" in box


def test_the_consent_page_says_who_asks_for_what_where_and_for_whom() -> None:
    text = Elements(render("consent")).text
    for sentence in (
        "Photo Prints asks for access on your behalf",
        "You are signed in as anna",
        "After your answer you return to prints.example",
        "Photo Library What the application may do at photos.example",
        "expires after 5 minutes",
        "About you",
    ):
        assert sentence in text


@pytest.mark.parametrize("duration", ["once", "day", "until_revoked"])
def test_the_duration_is_one_of_three_with_the_given_one_chosen(duration: pages.ConsentDuration) -> None:
    page = Elements(pages.render_consent(replace(CONSENT, duration=duration)))
    radios = page.all("input", type="radio", name="duration")
    assert [radio["value"] for radio in radios] == ["once", "day", "until_revoked"]
    assert [radio["value"] for radio in radios if "checked" in radio] == [duration]


def test_until_revoked_is_the_duration_where_none_is_given() -> None:
    assert "checked" in Elements(render("consent")).one("input", name="duration", value="until_revoked")


def test_only_clients_on_the_device_come_with_a_warning_that_they_cannot_be_known() -> None:
    assert "cannot tell which program it really is" in Elements(render("consent-loopback")).text
    assert "a program on this device" in Elements(render("consent-loopback")).text
    assert "another app there could pretend to be it" in Elements(render("consent-custom")).text
    assert CUSTOM.redirect_host in Elements(render("consent-custom")).text
    assert "your own device" not in Elements(render("consent")).text


def test_only_clients_that_can_be_remembered_are_told_to_be() -> None:
    promise = "You are asked again only if more is wanted"
    for client in (PHOTO_PRINTS, LOOPBACK):
        assert promise in Elements(pages.render_consent(replace(CONSENT, client=client))).text
    for client in (LOOPBACK, CUSTOM):
        text = Elements(pages.render_consent(replace(CONSENT, client=client, can_be_remembered=False))).text
        assert promise not in text
        assert "You are still asked each time" in text


def test_a_client_that_is_a_document_is_told_by_its_host_and_nothing_else_of_it_is_vouched_for() -> None:
    for name in ("consent-document", "login-document"):
        text = Elements(render(name)).text
        assert "Nobody registered this application here" in text
        assert "agent.example:8443" in text
    assert "comes from one place and sends you to another" in Elements(render("consent-document")).text
    assert "You are still asked each time" in Elements(render("consent-document")).text
    same = replace(DOCUMENT, redirect_host="agent.example")
    remembered = Elements(pages.render_consent(replace(CONSENT, client=same))).text
    assert "sends you to another" not in remembered
    assert "for 90 days at most" in remembered
    assert "Nobody registered" not in Elements(render("consent")).text


def test_a_program_on_the_device_that_has_a_secret_comes_without_the_warning() -> None:
    text = Elements(pages.render_consent(replace(CONSENT, client=LOOPBACK))).text
    assert "a program on this device" in text
    assert "cannot tell which program" not in text


def test_networks_are_asked_for_where_they_would_be_obeyed_and_said_where_they_hold() -> None:
    assert not Elements(render("consent")).all("input", name="network")
    page = Elements(render("consent-networks"))
    field = page.one("input", name="network")
    assert (field["type"], field["value"], "aria-invalid" in field) == ("text", "", False)
    assert "for anywhere" in page.text
    assert "You are at 192.0.2.7 now" in page.text
    refused = Elements(render("consent-networks-refused"))
    field = refused.one("input", name="network")
    assert field["value"].startswith('my office "><b>')
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "network-error network-note")
    assert "It works only from 192.0.2.0/24, 2001:db8:85a3::/48" in refused.text
    assert not Elements(render("consent-limited")).all("input", name="network")


def test_asking_for_more_than_last_time_is_said() -> None:
    notice = "It asks for more than you allowed last time."
    assert notice in Elements(render("consent-long")).text
    assert notice not in Elements(render("consent")).text


def test_a_request_without_scopes_says_so() -> None:
    page = Elements(render("consent-nothing"))
    assert "asks for no particular permission" in page.text
    assert not page.all("input", name="scope")


def test_a_scope_without_a_description_is_shown_by_its_name() -> None:
    html = render("consent-nasty")
    assert '<bdi class="choice-title">admin</bdi>' in html


def test_a_redirect_host_in_punycode_stays_punycode() -> None:
    assert NASTY_CLIENT.redirect_host in Elements(render("consent-nasty")).text


# ----- Errors and the root -----


def test_the_error_page_carries_error_and_incident_and_no_login_form() -> None:
    page = Elements(render("error"))
    section = page.one("section", id="error-page")
    assert section["data-error"] == "invalid_request"
    assert section["data-incident"] == "K7QF-3M2X"
    assert page.text.startswith("Authorization error")
    assert "K7QF-3M2X" in page.text
    assert not page.all("form")


def test_the_error_page_leads_back_to_the_client() -> None:
    page = Elements(render("error"))
    link = page.one("a", href="https://prints.example/")
    assert link["referrerpolicy"] == "no-referrer"
    assert "Back to Photo Prints" in page.text


def test_the_error_page_takes_a_label_and_a_path_of_our_own() -> None:
    page = Elements(pages.render_error(replace(ERROR, back_uri="/authorize?x=1&y=2", back_label="Start again")))
    page.one("a", href="/authorize?x=1&y=2")
    assert "Start again" in page.text


@pytest.mark.parametrize("back_uri", ["javascript:alert(1)", "//evil.example/", "/\\evil.example", "com.app:/cb", None])
def test_an_error_page_without_a_safe_way_back_says_what_to_do_instead(back_uri: str | None) -> None:
    page = Elements(pages.render_error(replace(ERROR, back_uri=back_uri)))
    assert [link["href"] for link in page.all("a")] == ["/"]
    assert "Return to Photo Prints and start again." in page.text


def test_the_root_says_what_this_server_is_and_links_to_its_metadata() -> None:
    page = Elements(render("home"))
    assert "This is the authorization server of Meadow." in page.text
    assert HOME.issuer in page.text
    page.one("a", href=HOME.metadata_uri)
