"""Web applications with npm's libraries, unmodified, over the whole life of a login; both sides over TLS."""

from typing import Any

import pytest

from tests.actors.relying_party import read_jwt
from tests.foreign.conftest import House, require_node
from tests.foreign.node_clients import ForeignConfig, web_application
from tests.foreign.person import Person
from tests.foreign.test_whole_life import RENEWABLE, check_life
from tests.foreign.tls_server import APP_HOST
from tests.server import free_port


@pytest.fixture
def app_url() -> str:
    require_node()
    return f"https://{APP_HOST}:{free_port()}"


def configure(house: House, app_url: str, callback: str, **metadata: Any) -> ForeignConfig:
    return house.config(
        scope="openid profile",
        grant_types=RENEWABLE,
        redirect_uris=[f"{app_url}{callback}"],
        post_logout_redirect_uris=[f"{app_url}/goodbye"],
        token_endpoint_auth_method="client_secret_post",
        **metadata,
    )


def test_passport_lives_the_whole_life_of_a_login(house: House, app_url: str) -> None:
    account = house.add_account()
    person = house.person(account)
    # The library has no PKCE: the operator lets this one client do without, as OpenID Connect allows.
    config = configure(house, app_url, "/callback", policy={"security_profile": "openid"})

    with web_application("passport_application.js", config, app_url=app_url, certificate=house.certificate):
        result = {
            **person.visit(f"{app_url}/login").json(),
            **person.visit(f"{app_url}/renewed").json(),
            **person.visit(f"{app_url}/logout").json(),
            "refresh_afterwards": person.visit(f"{app_url}/renewed").json()["error"],
            "silent_login_afterwards": person.visit(f"{app_url}/silent").json()["error"],
        }

    check_life(result, account, house, goodbye=f"{app_url}/goodbye")


def test_auth_js_lives_the_whole_life_of_a_login(house: House, app_url: str) -> None:
    account = house.add_account()
    person = house.person(account)
    config = configure(house, app_url, "/auth/callback/tokenhouse")

    with web_application("authjs_application.js", config, app_url=app_url, certificate=house.certificate):
        session = sign_in_with_auth_js(person, app_url).json()
        result = {
            "id_token_claims": read_jwt(session["id_token"]),
            **session,
            **person.visit(f"{app_url}/logout").json(),
            "refresh_afterwards": person.visit(f"{app_url}/auth/session").json()["error"],
        }
        refused = sign_in_with_auth_js(person, app_url, "?prompt=none")
        result["silent_login_afterwards"] = person.visit(f"{app_url}/refusals").json()["refusals"][-1]

    check_life(result, account, house, goodbye=f"{app_url}/goodbye")
    assert "error=OAuthCallbackError" in refused.url


def sign_in_with_auth_js(person: Person, app_url: str, query: str = "") -> Any:
    """What the button of a page does: a form with the library's own token against forgeries."""
    token = person.visit(f"{app_url}/auth/csrf").json()["csrfToken"]
    return person.visit(f"{app_url}/auth/signin/tokenhouse{query}", {"csrfToken": token, "callbackUrl": f"{app_url}/"})
