"""What a check of the deployment found."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. An error is something that is wrong; a warning is something to know."""

    check: str
    status: Status
    sentence: str


def ok(check: str, sentence: str) -> Finding:
    """Looked at, and right."""
    return Finding(check=check, status="ok", sentence=sentence)


def warning(check: str, sentence: str) -> Finding:
    """To be known, or mended at leisure."""
    return Finding(check=check, status="warning", sentence=sentence)


def error(check: str, sentence: str) -> Finding:
    """Wrong."""
    return Finding(check=check, status="error", sentence=sentence)
