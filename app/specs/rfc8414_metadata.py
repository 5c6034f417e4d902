"""RFC 8414 - OAuth 2.0 Authorization Server Metadata, and OpenID Connect Discovery 1.0.

Both documents are one merge of fragments, one fragment per specification that is switched on. Signed metadata
(section 2.1) is **not** implemented: the documents come over TLS from the issuer itself.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def merge_fragments(issuer: str, *fragments: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata document: lists are united in order, everything else must agree.

    Raises ValueError where two fragments say different things of one member: a mistake of the program.
    """
    document: dict[str, Any] = {"issuer": issuer}
    for fragment in fragments:
        for name, value in fragment.items():
            document[name] = _merge(name, document[name], value) if name in document else _copy(value)
    return document


def _merge(name: str, present: Any, added: Any) -> Any:
    if isinstance(present, list) and isinstance(added, (list, tuple)):
        return [*present, *(element for element in dict.fromkeys(added) if element not in present)]
    if type(present) is not type(added) or present != added:
        raise ValueError(f"two metadata fragments disagree about {name}")
    return present


def _copy(value: Any) -> Any:
    return list(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value


def endpoint_url(issuer: str, path: str) -> str:
    """The URL of `path`, which begins with a slash, beneath the issuer. Raises ValueError."""
    if issuer.endswith("/") or not path.startswith("/"):
        raise ValueError("an issuer ends without a slash and a path begins with one")
    return f"{issuer}{path}"


def well_known_paths(issuer: str) -> tuple[str, ...]:
    """The paths on the issuer's host at which the metadata is served, each once.

    OpenID Connect Discovery section 4 appends its name to the issuer's path; RFC 8414 section 3.1 inserts its own
    before it. Clients are found that append the second as well.
    """
    path = urlsplit(issuer).path.rstrip("/")
    paths = (
        f"{path}/.well-known/openid-configuration",
        f"/.well-known/oauth-authorization-server{path}",
        f"{path}/.well-known/oauth-authorization-server",
    )
    return tuple(dict.fromkeys(paths))
