"""RFC 8707 - Resource Indicators for OAuth 2.0."""

from .protocol_error import InvalidTarget
from .rfc3986_uri import check_web_host, parse_uri


def parse_resource(value: str) -> str:
    """One `resource` value, unchanged (section 2). Raises InvalidTarget.

    Does **not** check that the resource is registered or that the client may ask for it. Nothing is normalised: an
    audience is compared character by character.
    """
    try:
        check_resource_identifier(value)
    except ValueError as cause:
        raise InvalidTarget(f"resource {cause}") from cause
    return value


def check_resource_identifier(value: str) -> None:
    """Raises ValueError unless `value` can name a resource, also in an operator's registration."""
    # Section 2: "Its value MUST be an absolute URI ... The URI MUST NOT include a fragment component."
    uri = parse_uri(value)
    if uri.fragment is not None:
        raise ValueError("must not have a fragment")
    if uri.scheme != uri.scheme.lower():
        raise ValueError("must write its scheme in lower case")
    if uri.userinfo is not None:
        raise ValueError("must not hold credentials")
    if uri.scheme in ("http", "https"):
        check_web_host(uri.host)
    elif not uri.host and not uri.path:
        raise ValueError("must be an absolute URI")


def find_origin_alias(resource: str) -> str | None:
    """The other spelling of a bare http(s) origin, with or without its slash; None where there is none."""
    uri = parse_uri(resource)
    if uri.scheme not in ("http", "https") or uri.query is not None:
        return None
    if uri.path == "":
        return f"{resource}/"
    return resource[:-1] if uri.path == "/" else None
