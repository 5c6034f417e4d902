"""RFC 8693: kinds of tokens and chains of actors."""

from typing import Any

import pytest

from app.specs.protocol_error import InvalidRequest, InvalidToken
from app.specs.rfc8693_token_exchange import (
    ACCESS_TOKEN,
    JWT,
    MAX_ACTORS,
    build_act,
    check_no_actor_token,
    check_requested_token_type,
    check_subject_token_type,
    parse_actors,
)

PREFIX = "urn:ietf:params:oauth:token-type:"
# Section 4.1, figure 6.
CHAIN = {
    "aud": "https://service26.example.com",
    "sub": "user@example.com",
    "act": {"sub": "https://service16.example.com", "act": {"sub": "https://service77.example.com"}},
}


def test_the_chain_of_the_rfc_is_read_and_written_in_its_order() -> None:
    actors = parse_actors(CHAIN)
    assert actors == ("https://service16.example.com", "https://service77.example.com")
    assert build_act(actors) == CHAIN["act"]


def test_a_token_without_an_actor_has_none() -> None:
    assert parse_actors({"sub": "somebody"}) == ()
    with pytest.raises(ValueError, match="act"):
        build_act(())


def test_other_members_of_an_actor_are_passed_over() -> None:
    # Section 4.1: "other claims ... may be used" in it to identify the actor; they mean nothing here.
    assert parse_actors({"act": {"sub": "a", "iss": "https://other.example"}}) == ("a",)


@pytest.mark.parametrize(
    "act", [None, "a", ["a"], {}, {"sub": ""}, {"sub": 1}, {"act": {"sub": "a"}}, {"sub": "a", "act": 1}]
)
def test_a_chain_that_cannot_be_read_is_refused(act: Any) -> None:
    with pytest.raises(InvalidToken):
        parse_actors({"act": act})


def test_a_chain_without_end_is_refused() -> None:
    longest = {"act": build_act(["a"] * MAX_ACTORS)}
    assert len(parse_actors(longest)) == MAX_ACTORS
    with pytest.raises(InvalidToken):
        parse_actors({"act": build_act(["a"] * (MAX_ACTORS + 1))})


@pytest.mark.parametrize("kind", ["refresh_token", "id_token", "saml1", "saml2", "unheard-of", "", "ACCESS_TOKEN"])
def test_only_access_tokens_are_exchanged_and_given(kind: str) -> None:
    with pytest.raises(InvalidRequest):
        check_subject_token_type(PREFIX + kind)
    with pytest.raises(InvalidRequest):
        check_requested_token_type(PREFIX + kind)


def test_an_access_token_may_be_called_a_jwt_but_not_asked_for_as_one() -> None:
    check_subject_token_type(ACCESS_TOKEN)
    check_subject_token_type(JWT)
    check_requested_token_type(ACCESS_TOKEN)
    check_requested_token_type(None)
    with pytest.raises(InvalidRequest):
        check_requested_token_type(JWT)
    with pytest.raises(InvalidRequest, match="missing"):
        check_subject_token_type(None)


def test_an_actor_token_and_its_type_alone_are_refused() -> None:
    check_no_actor_token(has_actor_token=False, has_actor_token_type=False)
    for token, kind in ((True, True), (True, False), (False, True)):
        with pytest.raises(InvalidRequest):
            check_no_actor_token(has_actor_token=token, has_actor_token_type=kind)
