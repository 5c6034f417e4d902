"""Who asks, and where the answer goes: known before anything may be sent to a redirect URI.

Refusals here are for a page of ours (RFC 6749 4.1.2.1).
"""

from collections.abc import Callable

from app.services.authorization_request import ResponseTarget
from app.services.client_registry import BrokenClient, Client
from app.specs.oauth_response_modes import find_response_mode
from app.specs.protocol_error import Difference, InvalidRequest
from app.specs.rfc8252_redirects import redirect_kind
from app.specs.strict_request import Parameters

# Anything longer is no CSRF token; the whole of it comes back in a Location header.
MAX_STATE_CHARACTERS = 8192

FindClient = Callable[[str], Client | None]


def check_client(parameters: Parameters, find_client: FindClient) -> Client:
    """The client that asks; one that is unknown, disabled or unreadable is not told apart."""
    client_id = parameters.get("client_id")
    if client_id is None:
        raise InvalidRequest("client_id is missing")
    try:
        client = find_client(client_id)
    except BrokenClient as error:
        raise InvalidRequest("the client is not known here", detail=str(error)) from error
    if client is None or client.is_disabled:
        detail = f"client_id {client_id!r:.300} is {'disabled' if client else 'unknown'}"
        raise InvalidRequest("the client is not known here", detail=detail)
    return client


def check_redirect_uri(parameters: Parameters, client: Client) -> str:
    """The redirect URI, one that the client registered. RFC 9700 4.1.3: exact string matching.

    It may be left out only where exactly one is registered (OAuth 2.1, 4.1.1) and no ID token is asked for (OpenID
    Connect Core 3.1.2.1 requires it).
    """
    requested = parameters.get("redirect_uri")
    registered = client.metadata.redirect_uris
    if requested is None:
        is_openid = "openid" in (parameters.get("scope") or "").split(" ")
        if len(registered) != 1 or is_openid:
            raise InvalidRequest("redirect_uri is missing")
        return registered[0]
    if not client.owns_redirect_uri(requested):
        difference = Difference(what="redirect_uri", expected="\n".join(registered), received=requested)
        raise InvalidRequest("redirect_uri is not registered for this client", differences=[difference])
    return requested


def find_target(parameters: Parameters, client: Client) -> ResponseTarget:
    """Where the client is answered, and in which mode: also to be told that the mode it asks for is none."""
    redirect_uri = check_redirect_uri(parameters, client)
    state = parameters.get("state")
    return ResponseTarget(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_mode=find_response_mode(
            parameters.get("response_mode"),
            response_type=parameters.get("response_type"),
            is_web_redirect=redirect_kind(redirect_uri) != "custom",
        ),
        # The state is echoed whole or not at all.
        state=state if state is not None and len(state) <= MAX_STATE_CHARACTERS else None,
    )
