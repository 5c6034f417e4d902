"""Whose session answers a request, where a browser holds several: what tells, and the choice of the person.

Once a transaction has a session (by a login in it, by a choice, or because a consent page was shown to somebody) it
keeps it: whoever else logs in in another tab does not come in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.services.account_names import email_key, username_key
from app.services.authorization_request import AuthorizationRequest
from app.services.browser_state import renew_browser_state
from app.services.deployment import Deployment
from app.services.known_devices import find_known_devices
from app.services.requested_person import RequestedPerson
from app.services.transactions import Pending, Transaction
from app.storage.accounts import AccountRow, find_accounts
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.transactions import bind_transaction
from app.storage.users import find_user


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAccount:
    """The session that a request is answered for.

    `is_clear`: nobody has to be asked whose it is. `is_decided`: the person has said so for this very transaction.
    `is_one_of_several`: there are other sessions in the browser.
    """

    session: SessionRow | None
    is_clear: bool = True
    is_decided: bool = False
    is_one_of_several: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account that is signed in in this browser, as its owner knows it."""

    username: str
    name: str
    email: str
    was_used_last: bool


def choose_account(
    deployment: Deployment,
    request: AuthorizationRequest,
    sessions: tuple[SessionRow, ...],
    transaction: Transaction | None,
    *,
    client_pk: int,
    person: RequestedPerson | None = None,
) -> ChosenAccount:
    """What is known about whose request it is. `sessions`: those of the browser, the latest login first.

    `person`: the one who may answer; nobody else's session does, unless somebody said in this transaction that it is
    theirs.
    """
    several = len(sessions) > 1
    if transaction is not None and transaction.session_id is not None:
        session = bound_session(sessions, transaction)
        return ChosenAccount(session=session, is_decided=True, is_one_of_several=several)
    if person is not None:
        theirs = next((session for session in sessions if session.sub == person.sub), None)
        return ChosenAccount(session=theirs, is_one_of_several=several)
    if request.hinted_user_id is not None:
        return ChosenAccount(session=_session_of_user(sessions, request.hinted_user_id), is_one_of_several=several)
    if not several:
        return ChosenAccount(session=sessions[0] if sessions else None)
    known = _find_accounts(deployment, sessions, client_pk=client_pk)
    is_silent = "none" in request.prompt
    hinted = [account for account in known if _is_named(account, request.login_hint)]
    if is_silent:
        # Otherwise a client that nobody ever used could ask, name by name, who is signed in here.
        hinted = [account for account in hinted if account.last_used_at is not None]
    if len(hinted) == 1:
        return ChosenAccount(session=_session_of(sessions, hinted[0]), is_one_of_several=True)
    latest = known[0]
    # A page may ask; where none may be shown, a client goes on with the account that it had last.
    return ChosenAccount(
        session=_session_of(sessions, latest),
        is_clear=is_silent and latest.last_used_at is not None,
        is_one_of_several=True,
    )


def bound_session(sessions: tuple[SessionRow, ...], transaction: Pending) -> SessionRow | None:
    """The session that a transaction was bound to; None where it is bound to none, or to one that has ended."""
    return next((session for session in sessions if session.session_id == transaction.session_id), None)


def expected_username(deployment: Deployment, request: AuthorizationRequest, *, device_cookie: str | None) -> str:
    """The name that a login page may begin with: of whom `id_token_hint` names, else what `login_hint` says.

    An ID token tells its holder a subject, and not the name that a person logs in with: that is shown on devices only
    where the person has logged in before.
    """
    if request.hinted_user_id is None:
        return request.login_hint or ""
    with deployment.database.reading() as connection:
        vouched_for = find_known_devices(deployment, connection, device_cookie, now=deployment.clock())
        if request.hinted_user_id not in vouched_for:
            return ""
        user = find_user(connection, request.hinted_user_id)
    return "" if user is None else user.username


def list_accounts(deployment: Deployment, sessions: tuple[SessionRow, ...], *, client_pk: int) -> tuple[Account, ...]:
    """The accounts to choose from; the one that the client used last comes first, then the latest login."""
    known = _find_accounts(deployment, sessions, client_pk=client_pk)
    return tuple(
        Account(
            username=account.username,
            name=str(account.claims.get("name") or ""),
            email=account.email,
            was_used_last=place == 0 and account.last_used_at is not None,
        )
        for place, account in enumerate(known)
    )


def select_account(
    deployment: Deployment, transaction: Transaction, sessions: tuple[SessionRow, ...], username: str | None
) -> str | None:
    """Bind a transaction to the account that the person chose; the browser state that this makes.

    None where the account is not signed in in this browser.
    """
    chosen = next((session for session in sessions if session.username == username), None)
    if chosen is None:
        return None

    def bind(connection: Connection) -> str:
        bind_transaction(connection, transaction.transaction_id, chosen.session_id)
        return renew_browser_state(connection, chosen.browser_id)

    return deployment.database.transact(bind)


def _find_accounts(deployment: Deployment, sessions: tuple[SessionRow, ...], *, client_pk: int) -> Sequence[AccountRow]:
    places = {session.session_id: place for place, session in enumerate(sessions)}
    with deployment.database.reading() as connection:
        found = find_accounts(connection, list(places), client_pk=client_pk)

    def order(account: AccountRow) -> tuple[int, int]:
        last_used_at = -1 if account.last_used_at is None else account.last_used_at
        return -last_used_at, places[account.session_id]

    return sorted(found, key=order)


def _session_of_user(sessions: tuple[SessionRow, ...], user_id: int) -> SessionRow | None:
    return next((session for session in sessions if session.user_id == user_id), None)


def _session_of(sessions: tuple[SessionRow, ...], account: AccountRow) -> SessionRow:
    return next(session for session in sessions if session.session_id == account.session_id)


def _is_named(account: AccountRow, hint: str | None) -> bool:
    """By what people are called. Not by `sub`, of which each client may know another one: see `id_token_hint`."""
    return hint is not None and (
        account.username_key == username_key(hint) or account.email_key == email_key(hint.strip())
    )
