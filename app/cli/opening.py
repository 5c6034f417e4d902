"""How a command comes to its deployment, and to what an operator types or pipes in."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.services.deployment import Deployment, open_deployment
from app.services.refusal import Refusal
from app.services.write_log import configure_log
from app.settings import Settings, load_settings
from app.specs.strict_json import StrictJsonError, parse_json_object

_MAX_PASSWORD_BYTES = 8192
_MAX_DOCUMENT_BYTES = 262_144


def read_settings() -> Settings:
    """The settings, with the log set up: quiet where somebody reads along, complete where a program does."""
    settings = load_settings()
    configure_log("ERROR" if sys.stderr.isatty() else settings.log_level)
    return settings


@contextmanager
def opened_deployment() -> Iterator[Deployment]:
    """The deployment that the settings name, closed afterwards."""
    deployment = open_deployment(read_settings(), pool_size=2)
    try:
        yield deployment
    finally:
        deployment.close()


def read_password(*, from_stdin: bool, who: str) -> str:
    """A password from standard input, or typed twice unseen at a terminal; never from the command line."""
    if from_stdin:
        return _read_password_line()
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password: use --password-stdin")
    return str(click.prompt(f"Password for {who}", hide_input=True, confirmation_prompt=True, err=True))


def read_document(source: str) -> dict[str, Any]:
    """The JSON object in a file, or on standard input for `-`. Raises `Refusal`."""
    name = "standard input" if source == "-" else source
    try:
        raw = sys.stdin.buffer.read(_MAX_DOCUMENT_BYTES + 1) if source == "-" else _read_file(Path(source))
        return parse_json_object(raw, max_bytes=_MAX_DOCUMENT_BYTES)
    except OSError as error:
        raise Refusal("unreadable_file", f"{name}: {error.strerror}") from error
    except StrictJsonError as error:
        raise Refusal("invalid_json", f"{name}: {error}") from error


def read_claims(source: str | None) -> Mapping[str, Any] | None:
    """The claims in a file, or None where none was named."""
    return None if source is None else read_document(source)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_DOCUMENT_BYTES + 1)


def _read_password_line() -> str:
    raw = sys.stdin.buffer.read(_MAX_PASSWORD_BYTES + 1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("invalid_password", "the password on standard input is not UTF-8") from None
    # `echo` and editors end a line; a line break inside is a mistake, because no password field can send it.
    password = text.removesuffix("\n").removesuffix("\r")
    if "\n" in password or "\r" in password:
        raise Refusal("invalid_password", "standard input must hold one line: the password")
    return password
