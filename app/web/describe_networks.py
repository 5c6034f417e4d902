"""Why networks that a person entered cannot be obeyed, in words of their language."""

from typing import Final

from app.services.limit_networks import OUTSIDE, UnusableNetworks
from app.services.narrow_grant import NOT_CHECKED, NOT_USABLE, OUTSIDE_OF_LIMIT
from app.specs.tokenhouse_networks import MAX_NETWORKS
from app.web.language import gettext, mark

# By the reason that the rule gives; `entry` is what the person wrote.
_PROBLEMS: Final = {
    "is not an IPv4 or IPv6 address": mark("“%(entry)s” is not an IPv4 or IPv6 address."),
    "is not an address, a slash and a prefix length": mark(
        "“%(entry)s” is not an address, a slash and a prefix length."
    ),
    "has a prefix length that is too long": mark("“%(entry)s” has a prefix length that is too long."),
    "has bits set behind its prefix length": mark("“%(entry)s” has bits set behind its prefix length."),
    "has a zone, which means nothing to another machine": mark(
        "“%(entry)s” has a zone, which means nothing to another machine."
    ),
    OUTSIDE: mark("From there the application cannot be used at all."),
    NOT_CHECKED: mark("Access cannot be tied to a network here: an API does not look at where a call is from."),
    OUTSIDE_OF_LIMIT: mark("That lies outside of the networks to which this access is limited already."),
    NOT_USABLE: mark("This application can no longer be used at all."),
}


def describe_problem(problem: UnusableNetworks) -> str:
    """The sentence for a reason; what the person entered is quoted in it."""
    sentence = _PROBLEMS.get(problem.reason)
    if sentence is None:
        return gettext("What you entered names more than %(most)d networks.", most=MAX_NETWORKS)
    return gettext(sentence, entry=problem.entry)
