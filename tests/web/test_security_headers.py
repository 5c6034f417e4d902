"""The headers of the pages: what a browser may do with one, and what it may tell others."""

from __future__ import annotations

import pytest

from app.web.security_headers import frame_headers, page_headers


def csp(headers: dict[str, str]) -> dict[str, str]:
    policy = headers["Content-Security-Policy"]
    return dict(directive.split(" ", 1) for directive in policy.split("; "))


def test_every_page_may_load_our_stylesheet_and_images_and_nothing_else() -> None:
    for has_form in (True, False):
        headers = page_headers(has_form=has_form, leads_to_client=False, issuer_is_https=True)
        policy = csp(headers)
        policy.pop("form-action")
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "noindex" in headers["X-Robots-Tag"]
        assert "camera=()" in headers["Permissions-Policy"]
        assert "Cross-Origin-Opener-Policy" not in headers


@pytest.mark.parametrize(
    ("has_form", "leads_to_client", "form_action"),
    [(True, True, None), (True, False, "'self'"), (False, False, "'none'"), (False, True, "'none'")],
)
def test_form_action_is_absent_only_where_a_post_may_end_at_a_client(
    has_form: bool, leads_to_client: bool, form_action: str | None
) -> None:
    headers = page_headers(has_form=has_form, leads_to_client=leads_to_client, issuer_is_https=True)
    assert csp(headers).get("form-action") == form_action


def test_a_page_with_a_form_lets_its_own_origin_see_the_referrer_and_no_other_page_does() -> None:
    with_form = page_headers(has_form=True, leads_to_client=True, issuer_is_https=True)
    without = page_headers(has_form=False, leads_to_client=False, issuer_is_https=True)
    assert (with_form["Referrer-Policy"], without["Referrer-Policy"]) == ("same-origin", "no-referrer")


def test_strict_transport_security_is_sent_only_for_an_https_issuer() -> None:
    name = "Strict-Transport-Security"
    assert page_headers(has_form=True, leads_to_client=True, issuer_is_https=True)[name] == "max-age=31536000"
    assert name not in page_headers(has_form=True, leads_to_client=True, issuer_is_https=False)


@pytest.mark.requirement("OpenID Connect Session Management 1.0", "3.2", "the OP iframe is loaded by the RP's page")
def test_the_check_session_iframe_may_be_framed_and_runs_our_script_and_nothing_else() -> None:
    headers = frame_headers(issuer_is_https=True)
    assert csp(headers) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "X-Frame-Options" not in headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in frame_headers(issuer_is_https=False)
