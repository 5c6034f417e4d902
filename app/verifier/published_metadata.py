"""The RFC 9728 document that this resource server publishes about itself, made once."""

import json
from collections.abc import Mapping
from typing import Any, Final

from ..specs.rfc9449_dpop import PROOF_ALGORITHMS
from ..specs.rfc9728_resource_metadata import build_metadata, metadata_path, metadata_url
from .https import is_fetchable

MAX_AGE_S: Final = 3600


class PublishedMetadata:
    """`url` is where clients find it, `path` its path on this host; both None where nothing is published.

    Nothing is published for a resource that is no http(s) URL, or whose URL has a query: a path cannot serve that.
    """

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        enforces_dpop: bool,
        requires_dpop: bool,
        members: Mapping[str, Any] | None,
        is_wanted: bool,
    ) -> None:
        self.url: str | None = None
        self.path: str | None = None
        self.body = b""
        if not is_wanted or not is_fetchable(resource) or "?" in resource:
            if members:
                raise ValueError("metadata needs an audience that is a URL without query, and publish_metadata")
            return
        self.url, self.path = metadata_url(resource), metadata_path(resource)
        document = build_metadata(
            resource=resource,
            authorization_servers=[issuer],
            dpop_algorithms=PROOF_ALGORITHMS if enforces_dpop else (),
            dpop_required=requires_dpop,
            members=members,
        )
        self.body = json.dumps(document).encode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the answer says of itself. Any page may read it: it is public."""
        return [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self.body))),
            ("Cache-Control", f"public, max-age={MAX_AGE_S}"),
            ("Access-Control-Allow-Origin", "*"),
        ]
