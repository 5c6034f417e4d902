"""The whole flow in real Chromium, over TLS, between three sites of which none is localhost."""

import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.actors.relying_party import challenge_of
from tests.browser.barriers import find_barriers
from tests.browser.tls_stage import CLIENT_ID, LOGIN_HOST, NEIGHBOUR_HOST, OTHER_HOST, Stage, tls_stage
from tests.deployments import Account
from tests.patience import wait_until

PHOTOS = 6


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
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def person(stage: Stage) -> Account:
    return stage.operator.add_user(name="Grace Hopper")


def log_in(page: Page, person: Account) -> None:
    page.locator("#login-form input[name=username]").fill(person.username)
    page.locator("#login-form input[name=password]").fill(person.password)
    page.locator("#login-submit").click()


def sign_in(page: Page, stage: Stage, person: Account) -> None:
    page.goto(stage.app_url)
    page.locator("#sign-in").click()
    log_in(page, person)
    page.locator("#consent-allow").click()
    expect(page.locator("#who")).to_have_text("Grace Hopper")


def open_foreign_page(page: Page, body: str) -> None:
    """A page of another site, which can do what any page can."""
    page.route(
        f"https://{OTHER_HOST}/**",
        lambda route: route.fulfill(content_type="text/html", body=f"<!doctype html><title>Another site</title>{body}"),
    )
    page.goto(f"https://{OTHER_HOST}/")


def form_to(action: str, fields: dict[str, str]) -> str:
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    return f'<form id="f" method="post" action="{html.escape(action)}">{inputs}<button id="go">go</button></form>'


def authorization_parameters(stage: Stage, **changes: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": f"{stage.app_url}/callback",
        "scope": "openid profile photos.read photos.dates",
        "resource": stage.api_url,
        "state": "state-of-another-site",
        "nonce": "nonce",
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        **changes,
    }


def test_an_app_on_another_site_gets_the_photos_after_login_and_consent(
    stage: Stage, person: Account, page: Page
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(stage.app_url)
    page.locator("#sign-in").click()
    page.wait_for_url(f"{stage.issuer}/login?**")
    expect(page.get_by_text("Afterwards you return to www.paperandlight.test")).to_be_visible()
    log_in(page, person)
    page.wait_for_url(f"{stage.issuer}/consent?**")
    page.locator("#consent-allow").click()
    page.wait_for_url(f"{stage.app_url}/")
    expect(page.locator("#photos img")).to_have_count(PHOTOS)
    assert complaints == []


def test_an_app_that_is_ended_on_the_account_page_is_refused_by_its_api_within_seconds(
    stage: Stage, person: Account, page: Page, context: BrowserContext
) -> None:
    sign_in(page, stage, person)
    expect(page.locator("#photos img")).to_have_count(PHOTOS)
    own = context.new_page()
    own.goto(f"{stage.issuer}/account")
    own.get_by_role("link", name="Applications", exact=True).click()
    grant = own.locator("[data-grant]")
    expect(grant).to_have_count(1)
    expect(grant).to_contain_text("See your photos")
    grant.locator(".grant-revoke").click()
    expect(own.get_by_role("status")).to_contain_text("The access has ended")
    expect(own.locator("[data-grant]")).to_have_count(0)

    def is_refused() -> bool:
        page.goto(stage.app_url)
        return page.locator("#photos img").count() == 0

    # The API looks at nothing but the status list.
    wait_until(is_refused)
    expect(page.locator("#no-photos")).to_contain_text("the token has been revoked")


def test_the_second_visit_from_another_site_asks_nothing(stage: Stage, person: Account, page: Page) -> None:
    sign_in(page, stage, person)
    page.locator("#sign-out").click()
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    page.get_by_role("link", name="Sign in again").click()
    expect(page.locator("#photos img")).to_have_count(PHOTOS)
    assert seen == [f"{stage.app_url}/"]


def test_every_cookie_of_the_server_is_bound_to_its_host(
    stage: Stage, person: Account, page: Page, context: BrowserContext
) -> None:
    sign_in(page, stage, person)
    cookies = [cookie for cookie in context.cookies() if cookie["domain"].lstrip(".") == LOGIN_HOST]
    assert cookies
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-"), cookie["name"]
        assert cookie["domain"] == LOGIN_HOST  # without a dot: no subdomain gets it, and none can set it
        is_for_scripts = cookie["name"].endswith("-state")
        assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, not is_for_scripts, "/")
        assert cookie["sameSite"] == ("None" if is_for_scripts else "Lax")


def test_the_pages_tell_the_browser_to_come_by_tls_only_and_to_run_nothing(stage: Stage, page: Page) -> None:
    page.goto(f"{stage.app_url}/sign-in")
    response = page.reload()
    assert response is not None
    headers = response.headers
    assert "max-age=" in headers["strict-transport-security"]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_a_login_posted_by_another_site_is_refused(stage: Stage, person: Account, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{stage.app_url}/sign-in")
    transaction = page.locator("#login-form input[name=transaction]").input_value()
    csrf_token = page.locator("#login-form input[name=csrf_token]").input_value()
    fields = {
        "transaction": transaction,
        "csrf_token": csrf_token,
        "username": person.username,
        "password": person.password,
    }
    # Even with the values of the real form: what is missing is that our own page sends them.
    foreign = context.new_page()
    open_foreign_page(foreign, form_to(f"{stage.issuer}/login", fields))
    foreign.locator("#go").click()
    expect(foreign.locator("#error-page")).to_be_visible()
    log_in(page, person)
    expect(page.locator("#consent-form")).to_be_visible()


def test_a_consent_posted_by_another_site_is_refused(stage: Stage, person: Account, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{stage.app_url}/sign-in")
    log_in(page, person)
    fields = {
        "transaction": page.locator("#consent-form input[name=transaction]").input_value(),
        "csrf_token": page.locator("#consent-form input[name=csrf_token]").input_value(),
        "decision": "allow",
        "scope": "photos.read",
    }
    foreign = context.new_page()
    open_foreign_page(foreign, form_to(f"{stage.issuer}/consent", fields))
    foreign.locator("#go").click()
    expect(foreign.locator("#error-page")).to_be_visible()
    assert urlsplit(foreign.url).netloc == LOGIN_HOST


def test_no_page_of_ours_can_be_framed(stage: Stage, page: Page) -> None:
    with page.expect_event("requestfailed") as failed:
        open_foreign_page(page, f'<iframe src="{stage.issuer}/"></iframe>')
    assert failed.value.url == f"{stage.issuer}/"
    assert "BLOCKED_BY_RESPONSE" in (failed.value.failure or "")


@pytest.mark.requirement("OpenID Connect Core 1.0", "3.1.2.1", "the request may be sent by POST")
def test_a_request_that_another_site_posts_still_finds_the_session(stage: Stage, person: Account, page: Page) -> None:
    sign_in(page, stage, person)
    parameters = authorization_parameters(stage, prompt="none")
    open_foreign_page(page, form_to(f"{stage.issuer}/authorize", parameters))
    # The state is not one that the app has sent, so the app refuses; what matters is what came back.
    with page.expect_request(f"{stage.app_url}/callback?**") as answered:
        page.locator("#go").click()
    answer = parse_qs(urlsplit(answered.value.url).query)
    assert "code" in answer, answer
    assert answer["iss"] == [stage.issuer]


def test_going_back_to_the_consent_page_leads_out_of_it_again(stage: Stage, person: Account, page: Page) -> None:
    page.goto(f"{stage.app_url}/sign-in")
    log_in(page, person)
    consent_url = page.url
    page.locator("#consent-allow").click()
    expect(page.locator("#who")).to_be_visible()
    page.goto(consent_url)
    expect(page.locator("#error-page")).to_be_visible()
    expect(page.locator("#login-form")).to_have_count(0)
    page.locator("#error-page a").first.click()
    page.wait_for_url(f"{stage.app_url}/")
    expect(page.locator("#who")).to_be_visible()


def test_an_unknown_redirect_uri_ends_on_a_page_of_ours(stage: Stage, page: Page) -> None:
    parameters = authorization_parameters(stage, redirect_uri=f"https://{OTHER_HOST}/callback")
    query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in parameters.items())
    page.goto(f"{stage.issuer}/authorize?{query}")
    expect(page.locator("#error-page")).to_have_attribute("data-error", "invalid_request")
    assert urlsplit(page.url).netloc == LOGIN_HOST


@pytest.mark.requirement("OAuth 2.0 Form Post Response Mode", "2", "the browser posts the response to the client")
@pytest.mark.parametrize("scripts", [True, False], ids=["by the script", "by the button"])
def test_an_answer_is_posted_to_the_client(browser: Browser, stage: Stage, person: Account, *, scripts: bool) -> None:
    callback = f"https://{OTHER_HOST}/callback?x=1"
    client = stage.operator.add_client(redirect_uris=[callback], client_name="Posted to")
    parameters = authorization_parameters(
        stage, client_id=client.client_id, redirect_uri=callback, response_mode="form_post", scope="openid"
    )
    del parameters["resource"]
    context = browser.new_context(java_script_enabled=scripts)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.route(f"https://{OTHER_HOST}/**", lambda route: route.fulfill(content_type="text/html", body="arrived"))
    page.goto(f"{stage.issuer}/authorize?{urlencode(parameters)}")
    log_in(page, person)
    with page.expect_request(callback) as posted:
        page.locator("#consent-allow").click()
        if not scripts:
            page.locator("#form-post-submit").click()
    expect(page.locator("body")).to_have_text("arrived")
    request = posted.value
    assert request.method == "POST"
    answer = parse_qs(request.post_data or "")
    assert (answer["state"], answer["iss"], len(answer["code"])) == ([parameters["state"]], [stage.issuer], 1)
    sent = request.all_headers()
    # Who posts can be seen, and nothing of our page's URL.
    assert sent["origin"] == stage.issuer
    assert sent["referer"] == f"{stage.issuer}/"
    assert complaints == []
    context.close()


# ----- Several accounts -----


def test_the_person_chooses_among_their_accounts(stage: Stage, person: Account, page: Page) -> None:
    sign_in(page, stage, person)
    other = stage.operator.add_user(name="Alan Turing")
    page.goto(f"{stage.issuer}/authorize?{urlencode(authorization_parameters(stage, prompt='login'))}")
    log_in(page, other)
    expect(page.locator("#consent-form")).to_be_visible()
    page.goto(f"{stage.app_url}/sign-in")
    page.wait_for_url(f"{stage.issuer}/select-account?**")
    assert find_barriers(page) == []
    page.get_by_label("Alan Turing").check()
    page.locator("#account-submit").click()
    page.locator("#consent-allow").click()
    expect(page.locator("#who")).to_have_text("Alan Turing")


# ----- The check-session iframe -----


NEIGHBOUR = f"https://{NEIGHBOUR_HOST}"


def ask_iframe(page: Page, stage: Stage, message: str, *, origin: str) -> str:
    """What a page of `origin` is told by the frame that it keeps."""
    frame = f'<!doctype html><title>A page</title><iframe src="{stage.issuer}/check-session"></iframe>'
    page.route(f"{origin}/keeps-a-frame", lambda route: route.fulfill(content_type="text/html", body=frame))
    page.goto(f"{origin}/keeps-a-frame")
    answer: str = page.evaluate(
        """([message, issuer]) => new Promise((resolve) => {
          addEventListener("message", (event) => event.origin === issuer && resolve(event.data));
          document.querySelector("iframe").contentWindow.postMessage(message, issuer);
        })""",
        [message, stage.issuer],
    )
    return answer


def ask_from_beside(page: Page, stage: Stage, message: str, *, parent: str, caller: str) -> str:
    """What a frame of `caller` is told that stands beside the server's frame in a page of `parent`."""
    frames = f'<iframe name="op" src="{stage.issuer}/check-session"></iframe><iframe src="{caller}/caller"></iframe>'
    page.route(f"{parent}/keeps-frames", lambda route: route.fulfill(content_type="text/html", body=frames))
    page.route(f"{caller}/caller", lambda route: route.fulfill(content_type="text/html", body="<p>A caller</p>"))
    page.goto(f"{parent}/keeps-frames")
    frame = page.frame(url=f"{caller}/caller")
    assert frame is not None
    answer: str = frame.evaluate(
        """([message, issuer]) => new Promise((resolve) => {
          addEventListener("message", (event) => event.origin === issuer && resolve(event.data));
          parent.frames["op"].postMessage(message, issuer);
          setTimeout(() => resolve("nothing"), 1000);
        })""",
        [message, stage.issuer],
    )
    return answer


def get_session_state(page: Page, stage: Stage, client_id: str, app_url: str) -> str:
    """By a silent answer to the application; nobody has to be there to hear it."""
    changes = {"client_id": client_id, "redirect_uri": f"{app_url}/callback", "scope": "openid"}
    parameters = authorization_parameters(stage, prompt="none", **changes)
    del parameters["resource"]
    with page.expect_request(f"{app_url}/callback?**") as answered:
        page.goto(f"{stage.issuer}/authorize?{urlencode(parameters)}")
    return parse_qs(urlsplit(answered.value.url).query)["session_state"][0]


@pytest.mark.requirement("OpenID Connect Session Management 1.0", "3.2", "unchanged, changed or error")
def test_the_iframe_tells_an_application_that_somebody_logged_in_or_out(
    stage: Stage, person: Account, page: Page
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    sign_in(page, stage, person)
    client = stage.operator.add_client(redirect_uris=[f"{NEIGHBOUR}/callback"], policy={"skip_consent": True})
    session_state = get_session_state(page, stage, client.client_id, NEIGHBOUR)
    mine = f"{client.client_id} {session_state}"
    assert ask_iframe(page, stage, mine, origin=NEIGHBOUR) == "unchanged"
    assert ask_iframe(page, stage, f"another {session_state}", origin=NEIGHBOUR) == "changed"
    assert ask_iframe(page, stage, mine, origin=NEIGHBOUR.replace("shop", "stranger")) == "changed"
    for malformed in ("", client.client_id, f"{client.client_id} ", f"{mine}.x", f" {session_state}"):
        assert ask_iframe(page, stage, malformed, origin=NEIGHBOUR) == "error", malformed
    page.goto(f"{stage.issuer}/authorize?{urlencode(authorization_parameters(stage, prompt='login'))}")
    log_in(page, stage.operator.add_user())
    expect(page.locator("#consent-form")).to_be_visible()
    assert ask_iframe(page, stage, mine, origin=NEIGHBOUR) == "changed"
    again = get_session_state(page, stage, client.client_id, NEIGHBOUR)
    assert ask_iframe(page, stage, f"{client.client_id} {again}", origin=NEIGHBOUR) == "unchanged"
    page.goto(f"{stage.issuer}/logout")
    page.locator("#logout-confirm").click()
    expect(page.locator("#logged-out")).to_be_visible()
    assert ask_iframe(page, stage, f"{client.client_id} {again}", origin=NEIGHBOUR) == "changed"
    assert [text for text in complaints if "check-session" in text] == []


@pytest.mark.requirement("OpenID Connect Session Management 1.0", "3.2", "the caller has the parent frame's origin")
def test_the_iframe_answers_the_page_that_keeps_it_and_frames_of_its_origin(
    stage: Stage, person: Account, page: Page
) -> None:
    sign_in(page, stage, person)
    client = stage.operator.add_client(redirect_uris=[f"{NEIGHBOUR}/callback"], policy={"skip_consent": True})
    message = f"{client.client_id} {get_session_state(page, stage, client.client_id, NEIGHBOUR)}"
    stranger = NEIGHBOUR.replace("shop", "stranger")
    assert ask_from_beside(page, stage, message, parent=NEIGHBOUR, caller=NEIGHBOUR) == "unchanged"
    assert ask_from_beside(page, stage, message, parent=stranger, caller=NEIGHBOUR) == "nothing"
    assert ask_from_beside(page, stage, message, parent=NEIGHBOUR, caller=stranger) == "nothing"


def test_the_iframe_works_in_a_page_of_another_site_where_its_cookie_goes_there(
    stage: Stage, person: Account, chromium: Browser, tmp_path: Path
) -> None:
    with stage.launch_with_foreign_cookies(chromium, tmp_path) as context:
        page = context.new_page()
        sign_in(page, stage, person)
        session_state = get_session_state(page, stage, CLIENT_ID, stage.app_url)
        message = f"{CLIENT_ID} {session_state}"
        assert ask_iframe(page, stage, message, origin=stage.app_url) == "unchanged"
        assert ask_iframe(page, stage, message, origin=f"https://{OTHER_HOST}") == "changed"


def test_where_the_browser_keeps_the_cookie_the_iframe_says_error_and_not_changed(
    stage: Stage, person: Account, page: Page
) -> None:
    """Otherwise the client would ask with `prompt=none` again and again."""
    sign_in(page, stage, person)
    message = f"{CLIENT_ID} {get_session_state(page, stage, CLIENT_ID, stage.app_url)}"
    assert ask_iframe(page, stage, message, origin=stage.app_url) == "error"
