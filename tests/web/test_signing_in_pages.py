"""The pages on which people say who they are: the login, and the choice among the accounts of a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.page_elements import Elements, render
from tests.web.page_samples import CONSENT, LOGIN, SELECT_ACCOUNT, make_page_app
from tests.web.sample_parts import PHOTO_PRINTS


@pytest.fixture(autouse=True)
def _page_context() -> Iterator[None]:
    with make_page_app().test_request_context():
        yield


# ----- Login -----


def test_the_login_form_has_the_fixed_names() -> None:
    page = Elements(render("login"))
    form = page.one("form", id="login-form")
    assert (form["method"], form["action"]) == ("post", "/login")
    assert page.one("input", name="username")["autocomplete"] == "username"
    password = page.one("input", name="password")
    assert (password["type"], password["autocomplete"]) == ("password", "current-password")
    assert page.one("input", name="transaction", type="hidden")["value"] == "transaction-value"
    assert page.one("input", name="csrf_token", type="hidden")["value"] == "csrf-value"
    assert page.one("button", id="login-submit")["type"] == "submit"


def test_the_login_page_says_which_application_asks_and_where_it_leads() -> None:
    page = Elements(render("login"))
    assert "Photo Prints asks you to sign in" in page.text
    assert "you return to prints.example" in page.text
    assert page.one("img")["src"] == "/client-logo/photo-prints?at=sign-in"


def test_a_refused_login_is_announced_and_keeps_the_username_but_not_the_password() -> None:
    page = Elements(render("login-refused"))
    alert = page.one("p", role="alert")
    assert "The username or the password is not right." in page.text
    for name in ("username", "password"):
        field = page.one("input", name=name)
        assert alert["id"] in (field["aria-describedby"] or "").split()
        assert field["aria-invalid"] == "true"
    assert page.one("input", name="username")["value"] == "anna"
    assert "value" not in page.one("input", name="password")
    assert "autofocus" in page.one("input", name="password")


def test_a_login_without_an_error_has_no_alert() -> None:
    page = Elements(render("login"))
    assert not page.all("p", role="alert")
    assert "aria-invalid" not in page.one("input", name="username")


def test_transaction_and_csrf_token_are_not_in_the_repr_of_a_page() -> None:
    for page in (LOGIN, CONSENT):
        assert "transaction-value" not in repr(page)
        assert "csrf-value" not in repr(page)


# ----- The choice of an account -----


def test_the_account_form_has_the_fixed_names_and_one_choice_made() -> None:
    page = Elements(render("select-account"))
    form = page.one("form", id="account-form")
    assert (form["method"], form["action"]) == ("post", "/select-account")
    assert page.one("input", name="transaction", type="hidden")["value"] == "transaction-value"
    assert page.one("input", name="csrf_token", type="hidden")["value"] == "csrf-value"
    choices = page.all("input", type="radio", name="account")
    assert [(choice["value"], "checked" in choice) for choice in choices] == [("anna", True), ("work", False)]
    assert page.one("button", id="account-submit")["type"] == "submit"
    assert page.one("a", id="other-account")["href"] == SELECT_ACCOUNT.login_url


def test_the_accounts_are_called_by_the_names_that_their_owner_knows() -> None:
    text = Elements(render("select-account")).text
    assert "Anna Karlsson anna anna@example.com Used last work a.karlsson@office.example" in text


@pytest.mark.parametrize("name", ["login", "select-account", "continue-with", "consent"])
@pytest.mark.requirement("OpenID Connect Registration 1.0", "2", "logo_uri, policy_uri, tos_uri")
def test_every_page_that_asks_shows_logo_policy_and_terms(name: str) -> None:
    page = Elements(render(name))
    # A page of a sign-in has room for a small one only.
    assert page.one("img")["src"] == "/client-logo/photo-prints" + ("" if name == "consent" else "?at=sign-in")
    for uri in (PHOTO_PRINTS.client_uri, PHOTO_PRINTS.policy_uri, PHOTO_PRINTS.tos_uri):
        assert uri is not None
        page.one("a", href=uri)
