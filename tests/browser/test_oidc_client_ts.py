"""npm's oidc-client-ts, unmodified, in a real Chromium: the whole life of a login, and the session monitor.

The application is on another host of the server's own site, where a browser lets its frames have the server's cookies.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, send_from_directory
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.tls_stage import NEIGHBOUR_HOST, Stage, running, tls_stage
from tests.deployments import Account
from tests.foreign.conftest import require_node
from tests.node_runtime import node_project
from tests.server import ROOT, free_port

SPA = ROOT / "tests" / "foreign" / "spa"
APP_URL = f"https://{NEIGHBOUR_HOST}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require_node(SPA)
    with tls_stage(tmp_path_factory.mktemp("stage")) as running_stage:
        yield running_stage


@pytest.fixture(scope="module")
def browser(chromium: Browser, stage: Stage) -> Iterator[Browser]:
    client = stage.operator.add_client(
        client_name="A single-page application",
        redirect_uris=[f"{APP_URL}/callback", f"{APP_URL}/silent"],
        post_logout_redirect_uris=[f"{APP_URL}/goodbye"],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
    )
    port = free_port()
    app = make_application({"authority": stage.issuer, "client_id": client.client_id, "scope": "openid profile"})
    with running(app, stage.certificates, port):
        launched = stage.launch(chromium, elsewhere={NEIGHBOUR_HOST: port})
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture
def person(stage: Stage) -> Account:
    return stage.operator.add_user(name="Grace Hopper")


def make_application(config: dict[str, str]) -> Flask:
    """Serves the files of the application; each of its URLs is the same page."""
    app = Flask("spa", static_folder=None)
    library = node_project(SPA) / "node_modules" / "oidc-client-ts" / "dist" / "browser"

    @app.get("/config.json")
    def settings() -> Response:
        return jsonify(config)

    @app.get("/", defaults={"name": "index.html"})
    @app.get("/<name>")
    def file(name: str) -> Response:
        directory: Path = library if name.startswith("oidc-client-ts") else SPA
        return send_from_directory(directory, name if "." in name else "index.html")

    return app


def log_in(page: Page, person: Account) -> None:
    page.locator("#login-form input[name=username]").fill(person.username)
    page.locator("#login-form input[name=password]").fill(person.password)
    page.locator("#login-submit").click()


def wait_at(page: Page, path: str) -> None:
    page.wait_for_selector(f'html[data-at="{path}"]', state="attached")


def call(page: Page, expression: str) -> Any:
    """What a call of the library gives: of a user what tests look at, of a refusal its error code."""
    return page.evaluate(
        f"""() => {expression}.then(
            (user) => user && {{ sub: user.profile.sub, name: user.profile.name, access_token: user.access_token,
                                 session_state: user.session_state }},
            (failure) => failure.error ?? String(failure))"""
    )


def sign_in(context: BrowserContext, person: Account) -> Page:
    page = context.new_page()
    page.goto(APP_URL)
    wait_at(page, "/")
    page.evaluate("() => void manager.signinRedirect()")
    log_in(page, person)
    page.locator("#consent-allow").click()
    wait_at(page, "/callback")
    return page


def test_a_whole_life_with_the_library(context: BrowserContext, person: Account) -> None:
    page = sign_in(context, person)
    user = call(page, "manager.getUser()")
    assert (user["sub"], user["name"]) == (person.sub, "Grace Hopper")
    refreshed = call(page, "manager.signinSilent()")
    assert refreshed["sub"] == person.sub
    assert refreshed["access_token"] != user["access_token"], "by the refresh token"
    silent = call(page, "manager.removeUser().then(() => manager.signinSilent())")
    assert silent["sub"] == person.sub, "in a frame, by prompt=none"
    page.evaluate("() => void manager.signoutRedirect()")
    wait_at(page, "/goodbye")
    assert call(page, "manager.signinSilent()") == "login_required"


@pytest.mark.requirement("OpenID Connect Session Management 1.0", "3", "an RP is told that the session has changed")
def test_the_librarys_session_monitor_hears_of_logins_and_logouts(
    stage: Stage, context: BrowserContext, person: Account
) -> None:
    page = sign_in(context, person)
    other_tab = context.new_page()
    other_tab.goto(f"{stage.app_url}/sign-in")
    other_tab.locator("#other-account").click()
    other_tab.locator("#other-account").click()
    log_in(other_tab, stage.operator.add_user(name="Alan Turing"))
    other_tab.locator("#consent-form").wait_for()
    page.wait_for_function("seen.includes('changed')")
    # Somebody else came, and this application goes on with whom it knows.
    assert call(page, "manager.getUser()")["sub"] == person.sub
    assert page.evaluate("seen.includes('signed out')") is False
    other_tab.goto(f"{stage.issuer}/logout")
    other_tab.locator("#logout-confirm").click()
    page.wait_for_function("seen.includes('signed out')")
