"""A decoded JSON object that several readers share, none of whom can change it for the others."""

from collections.abc import Iterator, Mapping
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
        return _copy(self._members[name])

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(self._members)


def _copy(value: Any) -> Any:
    # `copy.deepcopy` minds cycles and classes, of which JSON has none, and takes five times as long.
    if isinstance(value, dict):
        return {name: _copy(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_copy(entry) for entry in value]
    return value
