"""`tokenhouse demo` as a newcomer meets it: run it, open the address that it prints, log in, see photos."""

import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.settings import load_settings
from tests.actors.http import send
from tests.browser.barriers import find_barriers
from tests.browser.demo_process import Demo, begin_demo, check_gone, find_free_ports, start_demo
from tests.deployments import Account, Operator

PHOTOS = 6


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(directory: Path) -> Iterator[Demo]:
    """One demonstration for most tests; each brings a person of its own."""
    running = start_demo(directory, "--port", str(find_free_ports()))
    processes = running.processes()
    try:
        yield running
    finally:
        running.stop()
        check_gone(processes, within_s=30)


@pytest.fixture
def person(demo: Demo, directory: Path) -> Account:
    settings = {
        "TOKENHOUSE_ISSUER": demo.issuer,
        "TOKENHOUSE_DATABASE_URL": f"sqlite:///{directory}/.demo/tokenhouse.db",
        "TOKENHOUSE_KEYS_DIR": f"{directory}/.demo/keys",
    }
    operator = Operator(load_settings(settings))
    try:
        return operator.add_user(name="Grace Hopper")
    finally:
        operator.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context()
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def log_in(page: Page, username: str, password: str) -> None:
    page.locator("#login-form input[name=username]").fill(username)
    page.locator("#login-form input[name=password]").fill(password)
    page.locator("#login-submit").click()


def begin(page: Page, demo: Demo, person: Account) -> None:
    """From the app to the consent page."""
    page.goto(demo.app_url)
    page.locator("#sign-in").click()
    log_in(page, person.username, person.password)
    expect(page.locator("#consent-form")).to_be_visible()


def expect_photos(page: Page) -> None:
    expect(page.locator("#photos img")).to_have_count(PHOTOS)
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")


# ----- What people see -----


def test_opening_the_app_leads_through_login_and_consent_to_the_photos(demo: Demo, person: Account, page: Page) -> None:
    page.goto(demo.app_url)
    page.locator("#sign-in").click()
    page.wait_for_url(f"{demo.issuer}/login?**")
    expect(page.locator(".client-name")).to_have_text("Paper & Light")
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert page.locator(".client-logo img").evaluate("image => image.naturalWidth") == 128
    log_in(page, person.username, person.password)
    page.wait_for_url(f"{demo.issuer}/consent?**")
    expect(page.get_by_text("See your photos")).to_be_visible()
    page.locator("#consent-allow").click()
    page.wait_for_url(demo.app_url)
    expect(page.locator("#who")).to_have_text("Grace Hopper")
    expect_photos(page)
    expect(page.locator("#photos time")).to_have_count(PHOTOS)


def test_a_second_visit_needs_no_login_and_no_consent(demo: Demo, person: Account, page: Page) -> None:
    begin(page, demo, person)
    page.locator("#consent-allow").click()
    expect_photos(page)
    page.locator("#sign-out").click()
    expect(page.locator("#signed-out")).to_be_visible()
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    page.get_by_role("link", name="Sign in again").click()
    page.wait_for_url(demo.app_url)
    expect_photos(page)
    assert seen == [demo.app_url]


def test_a_scope_that_is_unticked_is_not_granted(demo: Demo, person: Account, page: Page) -> None:
    begin(page, demo, person)
    page.locator("input[name=scope][value='photos.dates']").uncheck()
    page.locator("#consent-allow").click()
    expect_photos(page)
    expect(page.locator("#photos time")).to_have_count(0)


def test_what_a_person_denies_the_app_does_not_get(demo: Demo, person: Account, page: Page) -> None:
    begin(page, demo, person)
    page.locator("#consent-deny").click()
    expect(page.locator("#refused")).to_have_attribute("data-error", "access_denied")
    page.goto(demo.app_url)
    expect(page.locator("#sign-in")).to_be_visible()


def test_prints_can_be_ordered(demo: Demo, person: Account, page: Page) -> None:
    begin(page, demo, person)
    page.locator("#consent-allow").click()
    page.locator("#photos input[name=photo]").first.check()
    page.locator("#photos input[name=photo]").last.check()
    page.locator("#order").click()
    expect(page.locator("#ordered")).to_contain_text("2 prints, € 0.90")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_examples_pages_are_accessible(demo: Demo, person: Account, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    begin(page, demo, person)
    page.locator("#consent-allow").click()
    expect_photos(page)
    for url in (demo.app_url, f"{demo.app_url}callback?state=invented", demo.document["api_url"]):
        page.goto(url)
        assert find_barriers(page) == [], url
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), url


# ----- What the application and the API refuse -----


def test_the_api_gives_nothing_without_a_token(demo: Demo) -> None:
    reply = send(f"{demo.document['api_url']}photos")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer ")
    image = send(f"{demo.document['api_url']}photos/photo-1/image", headers={"Authorization": "Bearer invented"})
    assert image.status == 401
    assert 'error="invalid_token"' in image.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": "of-another-browser"}, "untrusted_answer"),
        ({"iss": "https://evil.example"}, "untrusted_answer"),
        ({"code": "th_ac_invented"}, "invalid_grant"),
    ],
)
def test_an_answer_that_was_tampered_with_logs_nobody_in(
    demo: Demo, person: Account, page: Page, change: dict[str, str], error: str
) -> None:
    def tamper(url: str) -> str:
        base, _, query = url.partition("?")
        parameters = dict(pair.split("=", 1) for pair in query.split("&"))
        return base + "?" + "&".join(f"{name}={change.get(name, value)}" for name, value in parameters.items())

    begin(page, demo, person)
    # A redirect is followed without asking a route, so the answer is held back where it leaves the server.
    page.route(
        f"{demo.issuer}/consent",
        lambda route: route.fulfill(
            status=303, headers={"Location": tamper(route.fetch(max_redirects=0).headers["location"])}
        ),
    )
    page.locator("#consent-allow").click()
    expect(page.locator("#refused")).to_have_attribute("data-error", error)
    page.goto(demo.app_url)
    expect(page.locator("#sign-in")).to_be_visible()


def test_an_answer_in_another_browser_than_the_one_that_asked_is_refused(
    demo: Demo, person: Account, page: Page, chromium: Browser
) -> None:
    begin(page, demo, person)
    answers: list[str] = []
    page.route(
        f"{demo.issuer}/consent",
        lambda route: (answers.append(route.fetch(max_redirects=0).headers["location"]), route.abort()),
    )
    with page.expect_event("requestfailed"):
        page.locator("#consent-allow").click()
    victim = chromium.new_context()
    try:
        tricked = victim.new_page()
        tricked.goto(answers[0])
        expect(tricked.locator("#refused")).to_have_attribute("data-error", "untrusted_answer")
    finally:
        victim.close()


# ----- How it begins and ends -----


def test_a_second_run_goes_on_from_the_first(tmp_path: Path, page: Page) -> None:
    first = start_demo(tmp_path, "--port", str(find_free_ports()))
    try:
        page.goto(first.app_url)
        page.locator("#sign-in").click()
        log_in(page, first.document["username"], first.document["password"])
        page.locator("#consent-allow").click()
        expect(page.locator("#who")).to_have_text("Ada Lovelace")
    finally:
        processes = first.processes()
        assert first.stop(signal.SIGTERM) == 0
    check_gone(processes, within_s=30)
    second = start_demo(tmp_path)
    try:
        assert second.document == first.document
        # The application forgot everybody; the authorization server remembers the browser and the consent.
        page.goto(second.app_url)
        page.locator("#sign-in").click()
        page.wait_for_url(second.app_url)
        expect_photos(page)
    finally:
        processes = second.processes()
        assert second.stop(signal.SIGHUP) == 0
    check_gone(processes, within_s=30)


def test_what_it_remembers_is_for_its_owner_only(demo: Demo, directory: Path) -> None:
    assert stat.S_IMODE((directory / ".demo").stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / ".demo" / "demonstration.json").stat().st_mode) == 0o600


def test_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--port", str(find_free_ports()))
    processes = demo.processes()
    assert len(processes) >= 5  # itself, the server with its worker, the application, the API
    assert demo.stop(signal.SIGKILL) == -signal.SIGKILL
    check_gone(processes, within_s=30)


def test_when_one_program_ends_all_end_and_it_says_which(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--port", str(find_free_ports()))
    processes = demo.processes()
    (api,) = (process for process in processes if any("photo_library" in word for word in process.cmdline()))
    api.kill()
    _, told = demo.process.communicate(timeout=80)
    assert demo.process.returncode == 1
    assert "the photo library has ended" in told
    check_gone(processes, within_s=30)


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    port = find_free_ports()
    with socket.create_server(("127.0.0.1", port + 1)):
        process = begin_demo(tmp_path, "--port", str(port))
        printed, told = process.communicate(timeout=80)
    assert process.returncode == 1
    assert told.splitlines() == [
        f"tokenhouse: something else listens on port {port + 1} of localhost: stop that, or choose another --port"
    ]
    assert printed == ""
    assert not (tmp_path / ".demo").exists()


def test_another_port_than_the_first_runs_is_refused(demo: Demo, directory: Path) -> None:
    process = begin_demo(directory, "--port", "9", "--json")
    printed, _ = process.communicate(timeout=80)
    assert process.returncode == 1
    assert '"error": "other_port"' in printed
    assert psutil.pid_exists(demo.process.pid)
