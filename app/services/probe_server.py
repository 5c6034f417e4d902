"""Requests to a running server through its public URL, as anybody out there would send them.

The URL is the operator's own, so it is asked as it stands: private addresses are allowed, which `fetch_document` would
refuse.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson
import urllib3

_TIMEOUT: Final = urllib3.Timeout(connect=3, read=5)
_MAX_BODY_BYTES: Final = 1_048_576
_UNSEEN_FOR_S: Final = 1.0
_PAUSE_S: Final = 0.02


class ProbeFailed(Exception):
    """The server did not answer; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}


class ServerProbe:
    """One public URL, asked several times."""

    def __init__(self, url: str, *, ca_bundle: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            retries=False,
            timeout=_TIMEOUT,
            cert_reqs="CERT_REQUIRED",
            ca_certs=None if ca_bundle is None else str(ca_bundle),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> ProbeAnswer:
        """The answer to a GET; redirects are not followed. Raises `ProbeFailed`."""
        return self._ask("GET", path, headers=headers)

    def post(self, path: str, form: str, *, headers: Mapping[str, str] | None = None) -> ProbeAnswer:
        """The answer to a form. Raises `ProbeFailed`."""
        content_type = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, body=form, headers={**content_type, **(headers or {})})

    def wait_until_key_is_gone(self, kid: str, *, patience_s: float) -> float | None:
        """Seconds until no worker's public key set holds `kid` any more; None if one still does in the end.

        Asked over a new connection each time, so that every worker gets its turn; the key is gone when it was not
        seen for a second.
        """
        began = gone_since = time.monotonic()
        while (now := time.monotonic()) - began < patience_s:
            answer = self.get("/jwks", headers={"Cache-Control": "no-cache", "Connection": "close"})
            if any(key.get("kid") == kid for key in answer.json_object().get("keys", [])):
                gone_since = time.monotonic()
            elif now - gone_since > _UNSEEN_FOR_S:
                return gone_since - began
            time.sleep(_PAUSE_S)
        return None

    def _ask(
        self, method: str, path: str, *, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> ProbeAnswer:
        url = self.url + path
        try:
            response = self._pool.request(
                method, url, body=body, headers=dict(headers or {}), redirect=False, preload_content=False
            )
            content = response.read(_MAX_BODY_BYTES)
            response.release_conn()
        except (urllib3.exceptions.HTTPError, UnicodeError) as error:
            raise ProbeFailed(f"{method} {url}: {_reason(error)}") from error
        names = {name.lower(): value for name, value in response.headers.items()}
        return ProbeAnswer(status=response.status, headers=names, body=content)


def _reason(error: Exception) -> str:
    # urllib3 begins its messages with the repr of an object, which tells nobody anything.
    return str(error).split(": ", maxsplit=1)[-1] or type(error).__name__
