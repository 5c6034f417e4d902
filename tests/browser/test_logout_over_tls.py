"""Logging out in real Chromium, over TLS: tricks of other sites, and the pages of applications that are opened."""

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.actors.relying_party import RelyingParty, basic, read_jwt
from tests.browser.tls_stage import API_HOST, APP_HOST, LOGIN_HOST, OTHER_HOST, Stage, tls_stage
from tests.deployments import Account

SPEC = "OpenID Connect Front-Channel Logout 1.0"


@dataclass
class Visitor:
    """Somebody in a browser with two applications, of which the test plays the websites."""

    stage: Stage
    context: BrowserContext
    page: Page
    account: Account
    frames: list[str]
    slow: bool = False

    def sign_in(self, host: str, *, has_frame: bool = True) -> tuple[RelyingParty, str]:
        """A new application at a host, used by the person; and the ID token that it got."""
        registered = {"frontchannel_logout_uri": f"https://{host}/frontchannel?keep=1"} if has_frame else {}
        client = self.stage.operator.add_client(
            redirect_uris=[f"https://{host}/back"],
            post_logout_redirect_uris=[f"https://{host}/goodbye"],
            frontchannel_logout_session_required=has_frame,
            **registered,
        )
        party = RelyingParty(self.stage.issuer, client)
        pending = party.begin()
        self.page.goto(pending.url)
        if self.page.locator("#login-form").count():
            self.page.locator("input[name=username]").fill(self.account.username)
            self.page.locator("input[name=password]").fill(self.account.password)
            self.page.locator("#login-submit").click()
        self.page.locator("#consent-allow").click()
        self.page.wait_for_url(f"https://{host}/back?**")
        code = parse_qs(urlsplit(self.page.url).query)["code"][0]
        return party, self._exchange(party, code, pending.code_verifier)

    def _exchange(self, party: RelyingParty, code: str, code_verifier: str) -> str:
        tls = ssl.create_default_context(cafile=str(self.stage.certificates.ca_file))
        connection = http.client.HTTPSConnection(LOGIN_HOST, context=tls, timeout=20)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": party.redirect_uri,
            "code_verifier": code_verifier,
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": basic(party.client_id, party.client_secret or ""),
        }
        connection.request("POST", "/token", urlencode(form), headers)
        tokens = json.loads(connection.getresponse().read())
        connection.close()
        return str(tokens["id_token"])

    def answer(self, route: Route) -> None:
        """The applications' websites."""
        url = urlsplit(route.request.url)
        if url.path == "/frontchannel":
            self.frames.append(route.request.url)
            if self.slow and url.netloc == API_HOST:
                return  # never
        route.fulfill(content_type="text/html", body=f"<!doctype html><title>{url.path}</title><h1>{url.netloc}</h1>")

    def is_signed_in(self, party: RelyingParty) -> bool:
        self.page.goto(party.begin(prompt="none").url)
        self.page.wait_for_url(f"{party.redirect_uri}?**")
        return "code=" in self.page.url


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with tls_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: Browser, stage: Stage) -> Iterator[Browser]:
    launched = stage.launch(chromium)
    yield launched
    launched.close()


@pytest.fixture
def visitor(browser: Browser, stage: Stage) -> Iterator[Visitor]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(30_000)
    visitor = Visitor(stage, context, page, stage.operator.add_user(), [])
    for host in (APP_HOST, API_HOST):
        for path in ("back", "goodbye", "frontchannel"):
            context.route(f"https://{host}/{path}**", visitor.answer)
    yield visitor
    context.close()


def open_foreign_page(visitor: Visitor, body: str) -> None:
    """A page of another site, which can do what any page can."""
    page = f"<!doctype html><title>Another</title>{body}"
    visitor.context.route(f"https://{OTHER_HOST}/**", lambda route: route.fulfill(content_type="text/html", body=page))
    visitor.page.goto(f"https://{OTHER_HOST}/")


def logout_url(stage: Stage, **parameters: str) -> str:
    return f"{stage.issuer}/logout?{urlencode(parameters)}"


@pytest.mark.requirement(SPEC, "3", "the logout page opens every client's URI with iss and sid, then goes on")
@pytest.mark.parametrize("slow", [False, True])
def test_the_applications_pages_are_opened_and_the_person_goes_on(visitor: Visitor, slow: bool) -> None:
    visitor.slow = slow
    complaints: list[str] = []
    first, hint = visitor.sign_in(APP_HOST)
    second, second_hint = visitor.sign_in(API_HOST)
    visitor.page.on("console", lambda message: complaints.append(message.text))
    goodbye = f"https://{APP_HOST}/goodbye"
    visitor.page.goto(
        logout_url(visitor.stage, id_token_hint=hint, post_logout_redirect_uri=goodbye, state="a b"),
        wait_until="commit",
    )
    visitor.page.wait_for_url(f"{goodbye}?state=a%20b")
    expected = {APP_HOST: read_jwt(hint)["sid"], API_HOST: read_jwt(second_hint)["sid"]}
    opened = {urlsplit(url).netloc: parse_qs(urlsplit(url).query) for url in visitor.frames}
    assert opened == {
        host: {"keep": ["1"], "iss": [visitor.stage.issuer], "sid": [sid]} for host, sid in expected.items()
    }
    assert complaints == []
    assert not visitor.is_signed_in(first)
    assert not visitor.is_signed_in(second)


def test_without_scripts_the_page_goes_on_as_well(browser: Browser, stage: Stage) -> None:
    context = browser.new_context(java_script_enabled=False)
    visitor = Visitor(stage, context, context.new_page(), stage.operator.add_user(), [])
    for path in ("back", "goodbye", "frontchannel"):
        context.route(f"https://{APP_HOST}/{path}**", visitor.answer)
    _, hint = visitor.sign_in(APP_HOST)
    goodbye = f"https://{APP_HOST}/goodbye"
    visitor.page.goto(logout_url(stage, id_token_hint=hint, post_logout_redirect_uri=goodbye))
    visitor.page.wait_for_url(goodbye, timeout=30_000)
    assert len(visitor.frames) == 1
    context.close()


def test_the_person_confirms_and_reads_that_they_are_logged_out(visitor: Visitor) -> None:
    party, _ = visitor.sign_in(APP_HOST)
    visitor.page.goto(logout_url(visitor.stage, state="s"))
    expect(visitor.page.locator("#logout-form")).to_be_visible()
    expect(visitor.page.get_by_text(visitor.account.username)).to_be_visible()
    visitor.page.locator("#logout-cancel").click()
    expect(visitor.page.get_by_role("heading", name="You are still signed in")).to_be_visible()
    visitor.page.goto(logout_url(visitor.stage))
    visitor.page.locator("#logout-confirm").click()
    visitor.page.wait_for_url(f"{visitor.stage.issuer}/logged-out?**")
    expect(visitor.page.locator("#logged-out")).to_contain_text("You are logged out")
    expect(visitor.page.locator("iframe")).to_have_count(1)
    assert not visitor.is_signed_in(party)


def test_122_images_frames_and_forms_of_another_site_log_nobody_out(visitor: Visitor) -> None:
    party, hint = visitor.sign_in(APP_HOST, has_frame=False)
    with_hint = logout_url(visitor.stage, id_token_hint=hint)
    body = (
        f'<img src="{with_hint}"><iframe src="{with_hint}"></iframe>'
        f'<form id="f" method="post" action="{visitor.stage.issuer}/logout"><button id="go">go</button></form>'
    )
    open_foreign_page(visitor, body)
    visitor.page.locator("#go").click()
    # Nothing proves that the person wants it: they are asked.
    expect(visitor.page.locator("#logout-form")).to_be_visible()
    assert visitor.is_signed_in(party)


@pytest.mark.requirement("OpenID Connect RP-Initiated Logout 1.0", "2", "POST, from the site that has the hint")
def test_a_form_of_the_application_with_its_hint_logs_out(visitor: Visitor) -> None:
    party, hint = visitor.sign_in(APP_HOST, has_frame=False)
    goodbye = f"https://{APP_HOST}/goodbye"
    open_foreign_page(
        visitor,
        f'<form method="post" action="{visitor.stage.issuer}/logout">'
        f'<input name="id_token_hint" value="{hint}"><input name="post_logout_redirect_uri" value="{goodbye}">'
        '<button id="go">go</button></form>',
    )
    visitor.page.locator("#go").click()
    visitor.page.wait_for_url(goodbye)
    assert not visitor.is_signed_in(party)
