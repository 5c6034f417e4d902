"""A decoded JSON object that several readers share, none of whom can change it for the others."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any


class SharedObject(Mapping[str, Any]):
    """Reads like the dict that it was made of, which must not be changed afterwards.

    Lists and objects within are handed out as copies: whoever changes one changes his own. A verifier remembers tokens,
    so that the next request with the same token would see what the last one had appended.
    """

    __slots__ = ("_members",)

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        value = self._members[name]
        return deepcopy(value) if isinstance(value, dict | list) else value

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(self._members)
