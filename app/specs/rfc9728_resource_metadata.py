"""RFC 9728 - OAuth 2.0 Protected Resource Metadata: what an API says about itself, and where.

Signed metadata (section 2.2) is **not** implemented: the document comes over TLS from the resource itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .rfc3986_uri import parse_uri

WELL_KNOWN_NAME: Final = "/.well-known/oauth-protected-resource"
# Section 5.1: the parameter of WWW-Authenticate.
CHALLENGE_PARAMETER: Final = "resource_metadata"


def metadata_path(resource: str) -> str:
    """Returns the path of the metadata of a resource, query included; raises ValueError (section 3.1).

    "inserting a well-known URI string into the protected resource's resource identifier between the host component and
    the path and/or query components"; "any terminating slash (/) following the host component MUST be removed".
    """
    uri = parse_uri(resource)
    if uri.scheme not in ("http", "https") or not uri.host or uri.userinfo is not None or uri.fragment is not None:
        raise ValueError("must be an http or https URL with a host, without user and fragment")
    path = "" if uri.path == "/" else uri.path
    return WELL_KNOWN_NAME + path + ("" if uri.query is None else f"?{uri.query}")


def metadata_url(resource: str) -> str:
    """Returns where the metadata of a resource stands; raises ValueError."""
    path = metadata_path(resource)
    uri = parse_uri(resource)
    return f"{uri.scheme}://{uri.host}{'' if uri.port is None else f':{uri.port}'}{path}"


def build_metadata(
    *,
    resource: str,
    authorization_servers: Sequence[str],
    dpop_algorithms: Sequence[str] = (),
    dpop_required: bool = False,
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the document (section 2). `members` adds what else is to be said, such as `scopes_supported`.

    Raises ValueError where it would contradict what the resource really does: names, issuers, DPoP.
    """
    document: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(authorization_servers),
        # The header alone: a token in a body or a query is not read.
        "bearer_methods_supported": ["header"],
    }
    if dpop_algorithms:
        document["dpop_signing_alg_values_supported"] = list(dpop_algorithms)
        document["dpop_bound_access_tokens_required"] = dpop_required
    for name, value in (members or {}).items():
        if name in document or name in ("dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required"):
            raise ValueError(f"{name} is not free to choose: the verifier says what it does")
        document[name] = value
    return document
