"""Tokenhouse - what people may say of themselves, of the claims of OpenID Connect Core 5.1."""

from collections.abc import Iterable
from typing import Final

SELF_SERVICE_CLAIMS: Final = ("name", "given_name", "family_name", "nickname", "picture", "locale", "zoneinfo")
"""Where the operator says nothing: nobody takes any of it for proven."""
POSSIBLE_CLAIMS: Final = frozenset({*SELF_SERVICE_CLAIMS, "middle_name", "gender", "birthdate", "profile", "website"})
"""What can be left to them at all. Addresses and numbers are proven, and names of accounts are the operator's."""


def check_self_service_claims(names: Iterable[str]) -> None:
    """Raises ValueError naming what cannot be left to people."""
    unknown = sorted(set(names) - POSSIBLE_CLAIMS)
    if unknown:
        raise ValueError(f"not something that people may say of themselves: {', '.join(unknown)}")
