"""Logging out across servers: what another provider says of a logout there, and the way to log out there from here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.services.deployment import Deployment
from app.services.end_session import end_sessions
from app.services.identity_providers import Provider, find_provider, list_providers
from app.services.upstream_channel import ProviderUnavailable
from app.services.upstream_sessions import open_farewell
from app.specs.oidc_logout import LogoutToken, check_logout_token
from app.specs.protocol_error import InvalidRequest, TemporarilyUnavailable
from app.specs.rfc7515_jose import InvalidJws, parse_unverified_header
from app.specs.strict_json import StrictJsonError, parse_json_object
from app.storage.database import Connection
from app.storage.linked_identities import digest_subject
from app.storage.single_use import use_once
from app.storage.upstream_sessions import find_upstream_sessions, lock_live_upstream_sessions

_DEADLINE_S = 5.0
_REFUSED = "logout_token is not accepted"


class UnknownProvider(InvalidRequest):
    """No provider of that name says here who has logged out."""

    status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """A logout at another provider that can be offered: a form to its `end_session_endpoint`."""

    display_name: str
    end_session_endpoint: str
    client_id: str
    id_token_hint: str = field(repr=False)


def receive_logout(deployment: Deployment, name: str, unverified_token: str) -> int:
    """End what a provider's logout token means (Back-Channel Logout 2.6 and 2.7); how many sessions.

    Raises `InvalidRequest` for a token that is not what it should be, and then nothing has changed; nobody is told
    whether the person is known here. Raises `TemporarilyUnavailable` where the provider's keys cannot be had.
    """
    provider = find_provider(deployment, name)
    # A disabled provider is still believed when it says that somebody has gone.
    if provider is None or provider.document.issuer is None:
        raise UnknownProvider("there is no such provider here")
    token = _verify(deployment, provider, provider.document.issuer, unverified_token)
    subject_digest = None if token.subject is None else digest_subject(provider.identity, token.subject)
    now = deployment.clock()

    def end(connection: Connection) -> int:
        replay_key = token.replay_key(provider.identity)
        if not use_once(connection, replay_key, expires_at=int(token.expires_at_s * 1000)):
            raise InvalidRequest("logout_token was used before")
        meant = lock_live_upstream_sessions(
            connection, provider_id=provider.id, subject_digest=subject_digest, sid=token.sid, now=now
        )
        for session_id, sub in meant:
            end_sessions(deployment, connection, [session_id], sub=sub, actor="provider", reason="provider", now=now)
        return len(meant)

    return deployment.database.transact(end)


def find_farewells(deployment: Deployment, session_ids: Sequence[int]) -> tuple[Farewell, ...]:
    """Where whoever has logged out here may still be logged in; each provider once."""
    if not session_ids:
        return ()
    with deployment.database.reading() as connection:
        rows = find_upstream_sessions(connection, session_ids)
    if not rows:
        return ()
    providers = {provider.id: provider for provider in list_providers(deployment)}
    farewells: dict[int, Farewell] = {}
    for row in rows:
        provider, opened = providers.get(row.provider_id), open_farewell(deployment, row)
        if provider is not None and opened is not None:
            farewells[provider.id] = Farewell(
                display_name=provider.document.display_name,
                end_session_endpoint=opened["end_session_endpoint"],
                client_id=provider.document.client_id,
                id_token_hint=opened["id_token"],
            )
    return tuple(farewells.values())


def _verify(deployment: Deployment, provider: Provider, issuer: str, unverified_token: str) -> LogoutToken:
    try:
        with deployment.provider_channels.open(provider.id, deadline_s=_DEADLINE_S) as channel:
            metadata = deployment.provider_documents.get_metadata(channel, provider.id, issuer)
            payload, _ = deployment.provider_documents.verify(
                channel,
                provider.id,
                metadata.jwks_uri,
                unverified_token,
                algorithms=provider.document.id_token_signing_algs,
            )
        header, claims = parse_unverified_header(unverified_token), parse_json_object(payload)
    except ProviderUnavailable as error:
        raise TemporarilyUnavailable(
            "the provider's keys cannot be had", detail=error.reason, headers={"Retry-After": "10"}
        ) from error
    except (InvalidJws, StrictJsonError) as error:
        raise InvalidRequest(_REFUSED, detail=str(error)) from error
    return check_logout_token(
        header, claims, issuer=issuer, client_id=provider.document.client_id, now_s=deployment.clock() / 1000
    )
