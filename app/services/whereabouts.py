"""From where somebody does something: told to the audit trail, sealed, and to the person whose account it is."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """An address, and the words by which a browser calls itself."""

    address: str
    user_agent: str

    @property
    def personal(self) -> Mapping[str, str]:
        """As the sealed part of an event has it."""
        return {"address": self.address, "user_agent": self.user_agent}
