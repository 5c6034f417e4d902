"""The browser state (OpenID Connect Session Management 1.0, 3.2): random, and another one after each change.

It changes when somebody logs in, is logged out, or another account is chosen. It says nothing by itself: a client that
sees its `session_state` go stale asks again with `prompt=none`.
"""

import secrets
from collections.abc import Sequence

from app.services.authorization_request import AuthorizationRequest
from app.services.deployment import Deployment
from app.services.mint_secret import is_well_formed
from app.specs.oidc_session import compute_session_state, find_redirect_origin
from app.storage.browser_state import find_browser_state, set_browser_state, set_browser_state_of_sessions
from app.storage.database import Connection
from app.storage.sessions import SessionRow


def new_browser_state() -> str:
    """Random characters that need no quoting in a cookie."""
    return secrets.token_hex(16)


def renew_browser_state(connection: Connection, browser_id: int) -> str:
    """A new state for a browser, in the caller's transaction; it belongs into the cookie of the same answer."""
    browser_state = new_browser_state()
    set_browser_state(connection, browser_id, browser_state)
    return browser_state


def renew_browser_state_of_sessions(connection: Connection, session_ids: Sequence[int]) -> None:
    """A new state for the browsers of sessions that end, in the caller's transaction."""
    set_browser_state_of_sessions(connection, session_ids, new_browser_state())


def get_browser_state(deployment: Deployment, session: SessionRow) -> str:
    """The state of the browser that a session is in."""
    if session.browser_state is not None:
        return session.browser_state
    # Logged in under a version that knew no such state.
    return deployment.database.transact(lambda connection: renew_browser_state(connection, session.browser_id))


def read_browser_state(deployment: Deployment, browser_secret: str | None) -> str | None:
    """The state of the browser that a cookie names, whoever is logged in there; None where there is none."""
    if browser_secret is None or not is_well_formed("br", browser_secret):
        return None
    with deployment.database.reading() as connection:
        for digest in deployment.seals.digests("br", browser_secret):
            browser_state = find_browser_state(connection, digest, now=deployment.clock())
            if browser_state is not None:
                return browser_state
    return None


def make_session_state(request: AuthorizationRequest, browser_state: str) -> str | None:
    """`session_state` for an OpenID authentication response; None where the client has no web origin to ask from."""
    origin = find_redirect_origin(request.redirect_uri)
    if origin is None or not request.is_openid:
        return None
    return compute_session_state(
        client_id=request.client_id, origin=origin, browser_state=browser_state, salt=secrets.token_hex(8)
    )
