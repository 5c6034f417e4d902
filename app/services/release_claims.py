"""Which claims about a person leave: by granted scopes, and by name as far as they agreed (OpenID Connect Core 5)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from app.services.client_registry import Client
from app.services.grant_snapshot import GrantSnapshot
from app.specs.oidc_claims_request import ClaimsRequest, ClaimWish, base_name, covering_scope, select_requested
from app.specs.oidc_core import select_claims
from app.specs.rfc6749_oauth import parse_scope


def limit_to_registered(client: Client, claims: ClaimsRequest) -> ClaimsRequest:
    """The claims that the client may ask for: those of the scopes that it is registered for.

    What no scope gives is about the person like `profile`, and asked for by who may ask for that. The rest is passed
    over, as every claim that is not to be had.
    """
    if client.metadata.scope is None:
        return claims
    registered = parse_scope(client.metadata.scope)

    def keep(wishes: Mapping[str, ClaimWish]) -> Mapping[str, ClaimWish]:
        return {name: wish for name, wish in wishes.items() if (covering_scope(name) or "profile") in registered}

    return replace(claims, userinfo=keep(claims.userinfo), id_token=keep(claims.id_token))


def release_for_userinfo(
    user_claims: Mapping[str, Any], snapshot: GrantSnapshot, scope: Collection[str]
) -> dict[str, Any]:
    """What a token of `scope` is worth at the userinfo endpoint; never `sub`."""
    requested = release_requested(user_claims, snapshot, snapshot.claims.userinfo, scope)
    return {**select_claims(user_claims, scope), **requested}


def release_requested(
    user_claims: Mapping[str, Any],
    snapshot: GrantSnapshot,
    wishes: Mapping[str, ClaimWish],
    scope: Collection[str],
) -> dict[str, Any]:
    """The claims that were asked for by name: allowed one by one, or covered by a scope that the token has still."""
    if not wishes:
        return {}
    allowed = {
        name: wish
        for name, wish in wishes.items()
        if base_name(name) in snapshot.allowed_claims or covering_scope(name) in scope
    }
    return select_requested(user_claims, allowed, locales=snapshot.claims_locales)
