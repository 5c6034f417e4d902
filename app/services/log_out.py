"""RP-Initiated Logout 1.0: what a client may ask, whom it may log out unasked, and what a logout leaves behind.

A request is proven by an ID token of ours about a person who is logged in here. Everything else is somebody's word, and
the person is asked: a logout that any page can cause would be a nuisance at least (section 6). What waits for an answer
lives on the server, and is found again only by the browser that came with it.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.services.client_registry import BrokenClient, Client
from app.services.deployment import Deployment
from app.services.end_session import FrontchannelClient, end_sessions
from app.services.id_token_hint import find_hinted_user, verify_id_token_hint
from app.services.mint_secret import is_well_formed, mint_secret
from app.specs.oidc_logout import (
    IdTokenHint,
    LogoutRequest,
    build_frontchannel_uri,
    build_post_logout_redirect,
)
from app.specs.protocol_error import Difference, InvalidRequest
from app.storage.database import Connection
from app.storage.logout_requests import LogoutRow, find_logout, insert_logout, replace_logout
from app.storage.sessions import SessionRow, find_live_sessions, list_usernames
from app.storage.single_use import redeem_once

MOST_FRAMES: Final = 50
"""A page that opened more of them would tell nobody in time."""
_FINISHED: Final = "this logout has been finished already"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedLogout:
    """A request that may be obeyed. `user_id`: whom a good hint names; `continue_to`: where to go afterwards."""

    client_id: str | None
    user_id: int | None
    continue_to: str | None

    def to_document(self) -> dict[str, Any]:
        """As it is stored."""
        return {"client_id": self.client_id, "user_id": self.user_id, "continue_to": self.continue_to}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutOutcome:
    """What was done: whose sessions ended, which pages the browser is to open, and where it goes then."""

    session_ids: tuple[int, ...]
    frames: tuple[str, ...]
    continue_to: str | None
    client_id: str | None

    def to_document(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "session_ids": list(self.session_ids),
            "frames": list(self.frames),
            "continue_to": self.continue_to,
            "client_id": self.client_id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogout:
    """A stored logout of this browser. `outcome` once it is done; `csrf_token` belongs to it and to nothing else."""

    request_id: str
    checked: CheckedLogout
    outcome: LogoutOutcome | None
    csrf_token: str

    def __repr__(self) -> str:
        return f"PendingLogout({self.request_id!r})"


def check_logout(deployment: Deployment, request: LogoutRequest) -> CheckedLogout:
    """What of a request may be obeyed. Raises `InvalidRequest` where it contradicts itself or its registration.

    A hint that is not ours proves nothing, and then nothing else of the request is obeyed: the person is asked, and
    goes nowhere afterwards.
    """
    hint: IdTokenHint | None = None
    if request.unverified_id_token_hint is not None:
        try:
            hint = verify_id_token_hint(deployment, request.unverified_id_token_hint)
        except InvalidRequest:
            return CheckedLogout(client_id=None, user_id=None, continue_to=None)
    client = _find_client(deployment, request, hint)
    if client is None:
        return CheckedLogout(client_id=None, user_id=None, continue_to=None)
    return CheckedLogout(
        client_id=client.client_id,
        user_id=None if hint is None else find_hinted_user(deployment, client, hint),
        continue_to=_check_redirect(client, request),
    )


def _find_client(deployment: Deployment, request: LogoutRequest, hint: IdTokenHint | None) -> Client | None:
    # "When both client_id and id_token_hint are present, the OP MUST verify that the Client Identifier matches the one
    # used as the aud value in the ID Token."
    if request.client_id is not None and hint is not None and request.client_id != hint.client_id:
        difference = Difference(what="aud", expected=hint.client_id, received=request.client_id)
        raise InvalidRequest("client_id is not whom the id_token_hint was issued to", differences=[difference])
    client_id = request.client_id or (hint.client_id if hint is not None else None)
    if client_id is None:
        return None
    deployment.notice_changes()
    try:
        client = deployment.registry.find_client(client_id)
    except BrokenClient as error:
        raise InvalidRequest("the client is not known here", detail=str(error)) from error
    if client is not None and not client.is_disabled:
        return client
    if request.client_id is not None:
        raise InvalidRequest("the client is not known here", detail=f"client_id={client_id!r:.200}")
    return None


def _check_redirect(client: Client, request: LogoutRequest) -> str | None:
    uri = request.post_logout_redirect_uri
    if uri is None:
        return None
    # "This URI ... MUST exactly match one of the previously registered" ones: no port is forgiven, no query added.
    if uri not in client.metadata.post_logout_redirect_uris:
        expected = "\n".join(client.metadata.post_logout_redirect_uris)
        difference = Difference(what="post_logout_redirect_uri", expected=expected, received=uri)
        raise InvalidRequest("post_logout_redirect_uri is not registered for this client", differences=[difference])
    return build_post_logout_redirect(uri, state=request.state)


def find_sessions(deployment: Deployment, browser_secret: str | None) -> tuple[SessionRow, ...]:
    """What there is to end in a browser: also sessions that nobody has used for so long that they count no more.

    Applications were not told of that, and believe in them.
    """
    if browser_secret is None or not is_well_formed("br", browser_secret):
        return ()
    now = deployment.clock()
    with deployment.database.reading() as connection:
        for digest in deployment.seals.digests("br", browser_secret):
            found = find_live_sessions(connection, digest, now=now, not_idle_since=0)
            if found:
                return found
    return ()


def choose_proven(checked: CheckedLogout, sessions: Sequence[SessionRow]) -> tuple[SessionRow, ...]:
    """The sessions of this browser that the request may end unasked: those of the person whom a good hint names."""
    if checked.user_id is None:
        return ()
    return tuple(session for session in sessions if session.user_id == checked.user_id)


def begin_logout(deployment: Deployment, checked: CheckedLogout) -> tuple[PendingLogout, str]:
    """A logout that waits, and the secret for the cookie of the browser that came with it."""
    row, secret = _make_row(deployment, {"checked": checked.to_document()})
    deployment.database.transact(lambda connection: insert_logout(connection, row))
    return _pending(deployment, row, secret), secret


def resume_logout(deployment: Deployment, request_id: str, secret: str | None) -> PendingLogout:
    """The logout of this browser. Raises `InvalidRequest` where there is none, or it is over or another browser's."""
    unknown = InvalidRequest("this logout was not begun in this browser, or too long ago")
    if secret is None or not is_well_formed("lo", secret) or len(request_id) > 64:
        raise unknown
    with deployment.database.reading() as connection:
        row = find_logout(connection, request_id)
    if row is None or row.expires_at <= deployment.clock():
        raise unknown
    if not any(hmac.compare_digest(digest, row.digest) for digest in deployment.seals.digests("lo", secret)):
        raise unknown
    if row.used_at is not None and "outcome" not in row.request:
        raise InvalidRequest(_FINISHED)
    return _pending(deployment, row, secret)


def log_out(
    deployment: Deployment, checked: CheckedLogout, sessions: Sequence[SessionRow], *, request_id: str | None
) -> tuple[LogoutOutcome, tuple[str, str] | None]:
    """End the sessions; what was done, and, where the browser has to come back for it, (request id, cookie secret).

    `request_id`: of the logout that the person confirmed; it is spent. Raises `InvalidRequest` where it was before.
    """
    now = deployment.clock()

    def work(connection: Connection) -> tuple[LogoutOutcome, tuple[str, str] | None]:
        if request_id is not None and not redeem_once(connection, "logout_requests", request_id, now=now):
            raise InvalidRequest(_FINISHED)
        told: list[FrontchannelClient] = []
        for session in sessions:
            told += end_sessions(
                deployment, connection, [session.session_id], sub=session.sub, actor="user", reason="logout", now=now
            )
        outcome = _outcome(deployment, checked, sessions, told)
        if request_id is not None:
            replace_logout(connection, request_id, {"checked": checked.to_document(), "outcome": outcome.to_document()})
            return outcome, None
        if not outcome.frames and outcome.continue_to is not None:
            return outcome, None
        document = {"checked": checked.to_document(), "outcome": outcome.to_document()}
        row, secret = _make_row(deployment, document)
        insert_logout(connection, row)
        redeem_once(connection, "logout_requests", row.request_id, now=now)
        return outcome, (row.request_id, secret)

    done = deployment.database.transact(work)
    deployment.failpoint("logout.after_commit")
    return done


def cancel_logout(deployment: Deployment, request_id: str) -> None:
    """The person stays: the request is over. Raises `InvalidRequest` where it was before."""
    now = deployment.clock()
    if not deployment.database.transact(
        lambda connection: redeem_once(connection, "logout_requests", request_id, now=now)
    ):
        raise InvalidRequest(_FINISHED)


def is_csrf_token_of(pending: PendingLogout, csrf_token: str | None) -> bool:
    """Whether a form was made by us for this logout in this browser."""
    return csrf_token is not None and hmac.compare_digest(csrf_token.encode(), pending.csrf_token.encode())


def list_people(deployment: Deployment, session_ids: Sequence[int]) -> tuple[str, ...]:
    """Whose the sessions were, by name."""
    with deployment.database.reading() as connection:
        return list_usernames(connection, session_ids)


def _outcome(
    deployment: Deployment,
    checked: CheckedLogout,
    sessions: Sequence[SessionRow],
    told: Sequence[FrontchannelClient],
) -> LogoutOutcome:
    frames = [
        build_frontchannel_uri(client.frontchannel_logout_uri, issuer=deployment.issuer, sid=client.sid)
        for client in told
    ]
    return LogoutOutcome(
        session_ids=tuple(session.session_id for session in sessions),
        frames=tuple(frames[:MOST_FRAMES]),
        continue_to=checked.continue_to,
        client_id=checked.client_id,
    )


def _make_row(deployment: Deployment, document: dict[str, Any]) -> tuple[LogoutRow, str]:
    now = deployment.clock()
    secret = mint_secret("lo")
    digest, digest_key_id = deployment.seals.digest("lo", secret)
    row = LogoutRow(
        request_id=secrets.token_hex(12),
        digest=digest,
        digest_key_id=digest_key_id,
        request=document,
        created_at=now,
        expires_at=now + deployment.settings.transaction_lifetime_s * 1000,
        used_at=None,
    )
    return row, secret


def _pending(deployment: Deployment, row: LogoutRow, secret: str) -> PendingLogout:
    outcome = row.request.get("outcome")
    return PendingLogout(
        request_id=row.request_id,
        checked=CheckedLogout(**row.request["checked"]),
        outcome=None
        if outcome is None
        else LogoutOutcome(
            session_ids=tuple(outcome["session_ids"]),
            frames=tuple(outcome["frames"]),
            continue_to=outcome["continue_to"],
            client_id=outcome["client_id"],
        ),
        csrf_token=deployment.seals.digest("csrf", secret)[0].hex(),
    )
