from typing import Any

import pytest

from app.specs.rfc8414_metadata import endpoint_url, merge_fragments, well_known_paths

ISSUER = "https://op.example/tenant"


def test_fragments_are_merged_and_lists_united_in_order() -> None:
    document = merge_fragments(
        ISSUER,
        {"token_endpoint": f"{ISSUER}/token", "grant_types_supported": ["authorization_code"]},
        {"grant_types_supported": ["refresh_token", "authorization_code"], "scopes_supported": ["openid"]},
        {"token_endpoint": f"{ISSUER}/token", "scopes_supported": ("openid", "profile", "profile")},
    )
    assert document == {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/token",
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "scopes_supported": ["openid", "profile"],
    }


def test_merging_leaves_the_fragments_as_they_were() -> None:
    fragment = {"scopes_supported": ["openid"]}
    merge_fragments(ISSUER, fragment, {"scopes_supported": ["email"]})["scopes_supported"].append("x")
    assert fragment == {"scopes_supported": ["openid"]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"token_endpoint": "https://op.example/token"}, {"token_endpoint": "https://op.example/other"}),
        ({"claims_parameter_supported": False}, {"claims_parameter_supported": True}),
        ({"claims_parameter_supported": False}, {"claims_parameter_supported": 0}),
        ({"scopes_supported": ["openid"]}, {"scopes_supported": "openid"}),
        ({"scopes_supported": "openid"}, {"scopes_supported": ["openid"]}),
        ({}, {"issuer": "https://evil.example"}),
    ],
)
def test_fragments_that_disagree_are_a_mistake(first: dict[str, Any], second: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="disagree about"):
        merge_fragments(ISSUER, first, second)


@pytest.mark.parametrize("value", ["https://op.example/token", False, ["a"]])
def test_fragments_that_agree_are_merged(value: object) -> None:
    assert merge_fragments(ISSUER, {"x": value}, {"x": value})["x"] == value


def test_an_endpoint_lies_beneath_the_issuers_path() -> None:
    assert endpoint_url(ISSUER, "/token") == "https://op.example/tenant/token"
    assert endpoint_url("https://op.example", "/token") == "https://op.example/token"


@pytest.mark.parametrize(("issuer", "path"), [("https://op.example/", "/token"), ("https://op.example", "token")])
def test_an_endpoint_url_is_never_guessed(issuer: str, path: str) -> None:
    with pytest.raises(ValueError, match="slash"):
        endpoint_url(issuer, path)


@pytest.mark.requirement("RFC 8414", "3.1", "the well-known string is inserted between host and path")
@pytest.mark.requirement("OpenID Connect Discovery", "4.1", "the well-known string is appended to the issuer")
def test_an_issuer_with_a_path_is_served_at_the_paths_of_both_specifications() -> None:
    assert well_known_paths("https://example.com/issuer1") == (
        "/issuer1/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/issuer1",
        "/issuer1/.well-known/oauth-authorization-server",
    )


def test_an_issuer_without_a_path_has_two_paths() -> None:
    assert well_known_paths("https://example.com") == (
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    )
