"""Named places at which a test may stop a process; in the product they do nothing."""

from collections.abc import Callable

Failpoint = Callable[[str], None]


def no_failpoint(_name: str) -> None:
    """The product's failpoint."""
