"""OAuth 2.0 Multiple Response Type Encoding Practices, and OAuth 2.0 Form Post Response Mode.

How the parameters of an authorization response travel: in the query, in the fragment, or in a form that the browser
posts. Signed responses (JARM) are **not** implemented.
"""

from typing import Final, Literal

from .protocol_error import InvalidRequest

ResponseMode = Literal["query", "fragment", "form_post"]
RESPONSE_MODES: Final[tuple[ResponseMode, ...]] = ("query", "fragment", "form_post")
# What must never stand in a URL that reaches a server's log: section 5 forbids `query` for response types with these.
_FRONT_CHANNEL: Final = frozenset({"token", "id_token"})


def default_response_mode(response_type: str | None) -> ResponseMode:
    """The mode where none is asked for: the query for a code, the fragment for whatever holds a token."""
    return "fragment" if _FRONT_CHANNEL & set((response_type or "").split(" ")) else "query"


def find_response_mode(asked: str | None, *, response_type: str | None, is_web_redirect: bool) -> ResponseMode:
    """The mode in which to answer, an error too; the default where what is asked for cannot be obeyed.

    `is_web_redirect`: whether the redirect URI is http or https: nothing else can be posted to.
    """
    default = default_response_mode(response_type)
    known = next((mode for mode in RESPONSE_MODES if mode == asked), None)
    if known is None or (known == "query" and default == "fragment") or (known == "form_post" and not is_web_redirect):
        return default
    return known


def check_response_mode(asked: str | None, *, response_type: str | None, is_web_redirect: bool) -> None:
    """Raises InvalidRequest where the mode that is asked for is unknown or does not fit the request."""
    if asked is None:
        return
    if asked not in RESPONSE_MODES:
        raise InvalidRequest("response_mode must be query, fragment or form_post")
    if find_response_mode(asked, response_type=response_type, is_web_redirect=is_web_redirect) != asked:
        raise InvalidRequest("response_mode does not fit the response_type or the redirect_uri")
