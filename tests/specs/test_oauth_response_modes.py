"""How an authorization response may travel, by what is asked for."""

import pytest

from app.specs.oauth_response_modes import check_response_mode, default_response_mode, find_response_mode
from app.specs.protocol_error import InvalidRequest


@pytest.mark.requirement("OAuth 2.0 Multiple Response Types", "2.1", "the default of a code is the query")
@pytest.mark.parametrize(
    ("response_type", "mode"),
    [("code", "query"), (None, "query"), ("none", "query"), ("token", "fragment"), ("code id_token", "fragment")],
)
def test_the_default_follows_from_the_response_type(response_type: str | None, mode: str) -> None:
    assert default_response_mode(response_type) == mode


@pytest.mark.parametrize(
    ("asked", "response_type", "is_web", "mode"),
    [
        (None, "code", True, "query"),
        ("fragment", "code", True, "fragment"),
        ("form_post", "code", True, "form_post"),
        ("form_post", "code", False, "query"),
        ("query", "code token", True, "fragment"),
        ("form_post", "id_token", True, "form_post"),
        ("web_message", "code", True, "query"),
        ("Query", "token", True, "fragment"),
    ],
)
def test_there_is_a_mode_for_every_refusal(asked: str | None, response_type: str, is_web: bool, mode: str) -> None:
    assert find_response_mode(asked, response_type=response_type, is_web_redirect=is_web) == mode


@pytest.mark.parametrize(
    ("asked", "response_type", "is_web"),
    [("web_message", "code", True), ("", "code", True), ("query", "token", True), ("form_post", "code", False)],
)
def test_a_mode_that_is_unknown_or_does_not_fit_is_refused(asked: str, response_type: str, is_web: bool) -> None:
    with pytest.raises(InvalidRequest):
        check_response_mode(asked, response_type=response_type, is_web_redirect=is_web)


@pytest.mark.parametrize("asked", [None, "query", "fragment", "form_post"])
def test_every_mode_fits_a_code_at_a_web_address(asked: str | None) -> None:
    check_response_mode(asked, response_type="code", is_web_redirect=True)
