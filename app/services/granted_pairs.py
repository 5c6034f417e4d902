"""What a grant holds, as (resource, name) pairs: the same that a person ticks on the consent page."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.services.decide_interaction import CLAIM_PREFIX, find_claim
from app.services.deployment import Deployment
from app.services.grant_snapshot import GrantSnapshot
from app.services.userinfo import userinfo_resource

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedPair:
    """One thing that can be taken back, unless it `is_required`. `value`: its name in a form."""

    pair: Pair
    value: str
    is_required: bool


def granted_pairs(deployment: Deployment, snapshot: GrantSnapshot) -> tuple[GrantedPair, ...]:
    """Every pair of a grant; an API of which nothing was granted by name is a pair with an empty one."""
    userinfo = userinfo_resource(deployment.issuer)
    pairs: list[Pair] = []
    for resource, names in snapshot.scope.items():
        pairs += [(resource, name) for name in names or ("",)]
    pairs += [(userinfo, f"{CLAIM_PREFIX}{name}") for name in snapshot.allowed_claims]
    return tuple(
        GrantedPair(pair=pair, value=" ".join(pair), is_required=_is_required(deployment, pair, userinfo))
        for pair in pairs
    )


def _is_required(deployment: Deployment, pair: Pair, userinfo: str) -> bool:
    resource, name = pair
    if resource == userinfo:
        return name == "openid"
    known = deployment.registry.resources().find(resource)
    return known is not None and name in known.required


def scope_of(pairs: tuple[Pair, ...], userinfo: str) -> tuple[Mapping[str, list[str]], list[str]]:
    """Pairs as they stand in a snapshot: scopes by resource, and single claims."""
    scope: dict[str, list[str]] = {}
    claims: list[str] = []
    for resource, name in pairs:
        claim = find_claim((resource, name)) if resource == userinfo else None
        if claim is not None:
            claims.append(claim)
            continue
        names = scope.setdefault(resource, [])
        if name:
            names.append(name)
    return scope, claims
