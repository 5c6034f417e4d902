"""Whatever a client presents as a token, found: which kind it is, whose, what it says, and whether it is alive.

The one place that knows every form of a token of ours; revocation and introspection decide what to tell of it. Hints
about the type are not needed: each form tells itself apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.services.deployment import Deployment
from app.services.issue_tokens import decode_jti
from app.services.machine_token import MachineToken, find_machine_token
from app.services.mint_secret import is_well_formed
from app.services.own_access_token import verify_own_access_token
from app.services.use_refresh_token import is_idle
from app.specs.protocol_error import InvalidToken
from app.specs.rfc9068_access_token import CONSTRAINING_CLAIMS
from app.storage.token_states import find_access_token, find_opaque_token, find_refresh_token


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundToken:
    """A token of ours. `claims` is what it says, for an access token those of RFC 9068.

    `jti` is an access token's name in our tables. `machine_token`: a machine's JWT, which is in no table.
    """

    kind: Literal["access_token", "refresh_token"]
    client_id: str
    sub: str | None
    grant_id: str | None
    is_live: bool
    claims: Mapping[str, Any] = field(repr=False)
    jti: bytes | None = None
    machine_token: MachineToken | None = None


def find_token(deployment: Deployment, token: str, *, leeway_s: float = 0) -> FoundToken | None:
    """The token, alive or not; None for whatever we did not issue, and for a JWT that expired `leeway_s` ago."""
    if is_well_formed("at", token):
        return _find_opaque(deployment, token)
    if is_well_formed("rt", token):
        return _find_refresh(deployment, token)
    return _find_jwt(deployment, token, leeway_s)


def _find_opaque(deployment: Deployment, token: str) -> FoundToken | None:
    with deployment.database.reading() as connection:
        state = find_opaque_token(connection, deployment.seals.digests("at", token), now=deployment.clock())
    if state is None:
        return None
    return FoundToken(
        kind="access_token",
        client_id=state.client_id,
        sub=state.sub,
        grant_id=state.grant_id,
        is_live=state.is_live,
        claims=state.claims,
        jti=state.jti,
    )


def _find_refresh(deployment: Deployment, token: str) -> FoundToken | None:
    now = deployment.clock()
    with deployment.database.reading() as connection:
        state = find_refresh_token(connection, deployment.seals.digests("rt", token), now=now)
    if state is None:
        return None
    granted: dict[str, list[str]] = state.snapshot["scope"]
    scope = [name for names in granted.values() for name in names]
    if state.snapshot.get("refresh_tokens") == "offline":
        scope.append("offline_access")
    claims = {
        "iss": deployment.issuer,
        "sub": state.sub,
        "client_id": state.client_id,
        "scope": " ".join(dict.fromkeys(scope)),
        "iat": state.created_at // 1000,
        "exp": state.expires_at // 1000,
    }
    return FoundToken(
        kind="refresh_token",
        client_id=state.client_id,
        sub=state.sub,
        grant_id=state.grant_id,
        is_live=state.is_live and not is_idle(deployment, state.session_last_used_at, now=now),
        claims=claims,
    )


def _find_jwt(deployment: Deployment, token: str, leeway_s: float) -> FoundToken | None:
    try:
        verified = verify_own_access_token(
            deployment, token, audience=None, enforced=CONSTRAINING_CLAIMS, leeway_s=leeway_s
        )
    except InvalidToken:
        return None
    jti = decode_jti(verified.jti)
    if jti is None:
        return None
    machine_token = state = None
    with deployment.database.reading() as connection:
        # What a machine got from another token has a row as well; of all its others this tells without a look for one.
        if verified.subject == verified.client_id:
            machine_token = find_machine_token(deployment, connection, verified)
        if machine_token is None or not machine_token.is_live:
            state = find_access_token(connection, jti, now=deployment.clock())
    if state is not None:
        return FoundToken(
            kind="access_token",
            client_id=state.client_id,
            sub=state.sub,
            grant_id=state.grant_id,
            is_live=state.is_live,
            claims=verified.claims,
            jti=jti,
        )
    if machine_token is None:
        # Neither a row nor a place: this one was signed by somebody who had our key, and not by us.
        return None
    return FoundToken(
        kind="access_token",
        client_id=verified.client_id,
        sub=verified.subject,
        grant_id=None,
        is_live=machine_token.is_live,
        claims=verified.claims,
        jti=jti,
        machine_token=machine_token,
    )
