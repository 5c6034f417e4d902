"""OpenID Connect Session Management 1.0 - `session_state`, and the origin that it is for.

The check-session iframe computes the same value from the browser state in its cookie (`web/static/check-session.js`).
"""

import hashlib
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def find_redirect_origin(redirect_uri: str) -> str | None:
    """The origin of a redirect URI as a browser writes it; None for a custom scheme, which has no web origin."""
    parts = urlsplit(redirect_uri)
    if parts.scheme not in _DEFAULT_PORTS or parts.hostname is None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{parts.port}"


def compute_session_state(*, client_id: str, origin: str, browser_state: str, salt: str) -> str:
    """Section 3.2: "a salted cryptographic hash of Client ID, origin URL, and OP User Agent state". It has no space.

    `salt` is new for each response, so that two clients cannot tell by their values that it is the same browser.
    """
    digest = hashlib.sha256(f"{client_id} {origin} {browser_state} {salt}".encode()).hexdigest()
    return f"{digest}.{salt}"
