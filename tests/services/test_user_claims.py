"""Which documents about a person are stored."""

from typing import Any

import pytest

from app.services.refusal import Refusal
from app.services.user_claims import check_claims, check_email
from tests.patience import cpu_seconds


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.1", "the standard claims have their types")
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("name", "Ada", ""),
        ("nickname", "ada", 7),
        ("picture", "https://img.example/a.png", "javascript:alert(1)"),
        ("website", "http://ada.example", "ada.example"),
        ("email_verified", True, "true"),
        ("phone_number_verified", False, 0),
        ("birthdate", "1815-12-10", "10.12.1815"),
        ("locale", "en-GB", "en GB"),
        ("zoneinfo", "Europe/London", "\x1b[2J"),
        ("updated_at", 1_700_000_000, True),
        ("address", {"locality": "London", "street_address": "1 A St\nFlat 2"}, {"planet": "Earth"}),
        ("phone_number", "+44 20 7946 0000", "call me"),
    ],
)
def test_a_standard_claim_has_its_type(name: str, right: Any, wrong: Any) -> None:
    check_claims({name: right})
    with pytest.raises(Refusal, match=f"^{name}: "):
        check_claims({name: wrong})


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.2", "a member may end in a language tag")
def test_a_member_may_end_in_a_language_tag() -> None:
    check_claims({"name#ja-Kana-JP": "アダ", "family_name#en": "Lovelace"})
    with pytest.raises(Refusal, match="language tag"):
        check_claims({"name#": "x"})
    with pytest.raises(Refusal, match="must be a string"):
        check_claims({"name#ja": 7})


@pytest.mark.parametrize(
    "name", ["sub", "iss", "aud", "exp", "acr", "nonce", "cnf", "scope", "client_id", "th_networks", "sub#en"]
)
def test_what_the_server_puts_into_tokens_cannot_be_stored_with_a_person(name: str) -> None:
    with pytest.raises(Refusal, match="set by the server"):
        check_claims({name: "x"})


def test_claims_of_the_operators_own_may_stand_beside_them() -> None:
    check_claims({"department": {"id": 7, "tags": ["a"]}})


@pytest.mark.parametrize(
    "claims", [{"": "x"}, {"a\x00": "x"}, {"x" * 101: "x"}, {"note": "x" * 17_000}, {"note": None}]
)
def test_names_and_sizes_have_bounds(claims: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        check_claims(claims)


@pytest.mark.parametrize("email", ["", "ada", "@example.com", "a b@example.com", "a@b\n", "a@" + "b" * 300, "a\x00@b"])
def test_what_has_not_the_shape_of_an_address_is_refused(email: str) -> None:
    with pytest.raises(Refusal):
        check_email(email)


def test_a_long_almost_address_is_judged_at_once() -> None:
    def check() -> None:
        with pytest.raises(Refusal):
            check_email("a@" * 50_000)

    assert cpu_seconds(check) < 0.02
