"""The logins of other providers that belong to an account: seen, added and removed by its owner.

Whoever asks has just proven who they are; that is seen by the page. A link is one (issuer, subject), and one person's.
"""

from dataclasses import dataclass

from app.services.deployment import Deployment
from app.services.end_session import end_sessions
from app.services.identity_providers import Provider, list_providers
from app.services.notify_person import notify_person
from app.services.own_account import lock_own_row
from app.services.record_event import Event
from app.services.sign_in_methods import check_way_in_remains
from app.services.upstream_accounts import link_account
from app.services.upstream_identity import UpstreamIdentity
from app.services.whereabouts import Whereabouts
from app.storage.conflicts import AlreadyTaken
from app.storage.database import Connection
from app.storage.linked_identities import LinkRow, delete_link, find_link, list_links
from app.storage.sessions import SessionRow
from app.storage.upstream_sessions import lock_live_upstream_sessions


class LinkedElsewhere(Exception):
    """The login belongs to another account here."""


class LinkGone(Exception):
    """There is no such link, or it is another person's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """The links of a person, each with its provider's name for people, and the providers that they can add."""

    links: tuple[tuple[LinkRow, str], ...]
    addable: tuple[Provider, ...]


def find_links(deployment: Deployment, user_id: int) -> Links:
    """What a person has, and what they can add: a provider may be linked with several of its accounts."""
    providers = list_providers(deployment)
    with deployment.database.reading() as connection:
        rows = list_links(connection, user_id)
    return Links(links=tuple((row, row.display_name) for row in rows), addable=providers)


def link_login(
    deployment: Deployment,
    provider: Provider,
    identity: UpstreamIdentity,
    session: SessionRow,
    *,
    whereabouts: Whereabouts,
) -> bool:
    """The login is the person's from now on; False where it was already. Raises `LinkedElsewhere` or `AccountGone`."""
    now = deployment.clock()

    def work(connection: Connection) -> bool:
        user = lock_own_row(connection, session)
        present = find_link(connection, provider_id=provider.id, issuer=provider.identity, subject=identity.subject)
        if present is not None:
            if present.user_id != user.id:
                raise LinkedElsewhere
            return False
        link_account(deployment, connection, provider, identity, user, whereabouts, actor="user", now=now)
        values = {"provider": provider.document.display_name, "address": whereabouts.address}
        notify_person(deployment, connection, user, "login_linked", values, now)
        return True

    try:
        return deployment.database.transact(work)
    except AlreadyTaken as error:
        # Somebody was faster by a moment, perhaps in another account.
        raise LinkedElsewhere from error


def unlink_login(deployment: Deployment, session: SessionRow, link_id: int, *, whereabouts: Whereabouts) -> str:
    """Take a link away, and end what began by it in other browsers; the provider's name for people.

    Raises `LinkGone`, `AccountGone`, or `LastSignInMethod` where nobody could sign in to the account any more.
    """
    now = deployment.clock()

    def work(connection: Connection) -> str:
        user = lock_own_row(connection, session)
        link = next((row for row in list_links(connection, user.id) if row.id == link_id), None)
        if link is None or not delete_link(connection, link_id, user_id=user.id):
            raise LinkGone
        check_way_in_remains(connection, user)
        begun = lock_live_upstream_sessions(
            connection, provider_id=link.provider_id, subject_digest=link.subject_digest, sid=None, now=now
        )
        others = [session_id for session_id, sub in begun if sub == user.sub and session_id != session.session_id]
        end_sessions(deployment, connection, others, sub=user.sub, actor="user", reason="login_unlinked", now=now)
        body = {"provider": link.provider_name, "sessions": len(others)}
        event = Event(
            type="login.unlinked",
            actor="user",
            sub=user.sub,
            body=body,
            personal={**whereabouts.personal, "label": link.label},
        )
        deployment.recorder.record(connection, event)
        values = {"provider": link.display_name, "address": whereabouts.address}
        notify_person(deployment, connection, user, "login_unlinked", values, now)
        return link.display_name

    return deployment.database.transact(work)
