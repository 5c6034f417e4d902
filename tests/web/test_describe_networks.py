"""Why networks that somebody entered cannot be obeyed, in their own language."""

import pytest

from app.services.limit_networks import UnusableNetworks, parse_chosen_networks
from app.services.narrow_grant import NOT_CHECKED, NOT_USABLE, OUTSIDE_OF_LIMIT
from app.web.describe_networks import describe_problem
from app.web.language import speaking


@pytest.mark.parametrize("reason", [NOT_CHECKED, NOT_USABLE, OUTSIDE_OF_LIMIT])
def test_a_reason_of_narrowing_is_a_sentence_of_the_readers_language(reason: str) -> None:
    problem = UnusableNetworks(reason)
    english = describe_problem(problem)
    assert english.endswith(".")
    assert "more than" not in english
    with speaking("de"):
        assert describe_problem(problem) != english


@pytest.mark.parametrize("entered", [",", " ;; ", ",,,,,"])
def test_what_holds_no_network_is_not_no_limit(entered: str) -> None:
    with pytest.raises(UnusableNetworks) as refused:
        parse_chosen_networks(entered)
    assert entered.strip() in describe_problem(refused.value)


@pytest.mark.parametrize("entered", [None, "", "  "])
def test_where_nothing_was_entered_there_is_no_limit(entered: str | None) -> None:
    assert parse_chosen_networks(entered) is None


def test_what_was_entered_is_quoted() -> None:
    with pytest.raises(UnusableNetworks) as refused:
        parse_chosen_networks("192.0.2.1/33")
    with speaking("de"):
        assert "192.0.2.1/33" in describe_problem(refused.value)
        assert "prefix length" not in describe_problem(refused.value)
