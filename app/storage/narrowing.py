"""What a person took back of a grant, laid over what was granted: the one place where the two meet.

The snapshot of a grant never changes; beside it stands what is left of it. Every reader of a snapshot gets the two as
one document from here, so that no refresh, exchange or look-up can forget the second.
"""

import json
from typing import Any


def read_snapshot(snapshot: str, narrowing: str | None) -> dict[str, Any]:
    """The snapshot as far as it still holds. It is never more than what was granted, whatever `narrowing` says.

    `narrowing`: `{"scope": {resource: [name, …]}, "allowed_claims": […], "networks": […], "expires_at": …}`, of which
    each may be missing. Networks are those that were left when it was written; the end is the grant's own column.
    `withdrawn`: the resources of which nothing is left, so that nobody takes them for ones that were never asked about.
    """
    document: dict[str, Any] = json.loads(snapshot)
    if narrowing is None:
        return document
    left = json.loads(narrowing)
    if "scope" in left:
        granted = document["scope"]
        document["scope"] = _scope_left(granted, left["scope"])
        document["withdrawn"] = [resource for resource in granted if resource not in document["scope"]]
    if "allowed_claims" in left:
        document["allowed_claims"] = [
            name for name in document.get("allowed_claims", ()) if name in left["allowed_claims"]
        ]
    if left.get("networks"):
        document["networks"] = left["networks"]
    return document


def _scope_left(granted: dict[str, list[str]], left: dict[str, list[str]]) -> dict[str, list[str]]:
    scope = {}
    for resource, names in granted.items():
        kept = [name for name in names if name in left.get(resource, ())]
        # An API of which nothing was granted by name is there as a whole, or not at all.
        if kept or (not names and resource in left):
            scope[resource] = kept
    return scope
