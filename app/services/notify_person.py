"""Telling a person by mail what happened to their account: written to the outbox in the transaction that did it.

The message names its text and its values; the words are put together where the pages' words are (`web/mail_texts`), in
the person's language, when it leaves. Without `TOKENHOUSE_SMTP_URL` there is no mail, and nothing is written.
"""

from collections.abc import Mapping
from typing import Final

from app.services.deployment import Deployment
from app.services.outbox import Message, enqueue
from app.services.preferences import read_preferences
from app.storage.database import Connection
from app.storage.outbox import delete_dead_messages_to
from app.storage.users import UserRow

MAIL: Final = "mail"
# What may happen to an account that its owner hears of, each with the values that its text shows. All of them may have
# `address` beside, from where it was done, and those where an operator may have done it `by`, which is then "operator".
NOTICES: Final[Mapping[str, frozenset[str]]] = {
    "password_changed": frozenset(),
    "email_change_asked": frozenset(),
    "email_changed": frozenset(),
    "totp_added": frozenset(),
    "totp_removed": frozenset(),
    "passkey_added": frozenset({"name"}),
    "passkey_removed": frozenset({"name"}),
    "passkey_cloned": frozenset({"name"}),
    "second_factor_failed": frozenset(),
    "recovery_code_used": frozenset({"remaining"}),
    "recovery_codes_renewed": frozenset(),
    "login_linked": frozenset({"provider"}),
    "login_unlinked": frozenset({"provider"}),
    "new_device": frozenset({"device"}),
    "many_failed_logins": frozenset(),
    "account_deleted": frozenset(),
    "factors_reset": frozenset(),
    "administrator_named": frozenset(),
    "administrator_unnamed": frozenset(),
    "account_locked": frozenset(),
    "account_unlocked": frozenset(),
    "signed_out_everywhere": frozenset(),
    "email_confirmed_for_you": frozenset(),
    "email_unconfirmed": frozenset(),
}
_ALWAYS_ALLOWED: Final = frozenset({"address", "by"})


def sends_mail(deployment: Deployment) -> bool:
    """Whether this deployment can send mail at all."""
    return deployment.settings.smtp_url is not None


def notify_person(
    deployment: Deployment, connection: Connection, user: UserRow, text: str, values: Mapping[str, str], now: int
) -> None:
    """Tell the owner of an account what has just been done to it, in the caller's transaction.

    `text` is one of `NOTICES`, `values` are what that one names (and `address`, where the one who did it is known by
    one; `by`: "operator" where they did it). `user` is as it was before: the mail goes to the address that it had.
    Raises ValueError for a text that there is not, and for values that are not its own.
    """
    required = NOTICES.get(text)
    if required is None or not required <= set(values) <= required | _ALWAYS_ALLOWED:
        raise ValueError(f"there is no notice {text!r} with {sorted(values)}")
    mail_person(deployment, connection, user, text, values, now)


def mail_person(
    deployment: Deployment,
    connection: Connection,
    user: UserRow,
    text: str,
    values: Mapping[str, str],
    now: int,
    *,
    to: str | None = None,
) -> None:
    """A mail to somebody in their language, in the caller's transaction.

    It goes to their address, or to the one of which they say that it is theirs (`to`). Their username and the time are
    among the values of every such text.
    """
    shown = {"username": user.username, "at": str(now), **values}
    locale = read_preferences(user.claims).locale
    enqueue_mail(deployment, connection, to=to or user.email, text=text, locale=locale, values=shown, now=now)


def enqueue_mail(
    deployment: Deployment,
    connection: Connection,
    *,
    to: str,
    text: str,
    locale: str | None,
    values: Mapping[str, str],
    now: int,
) -> None:
    """A mail to an address, in the caller's transaction. `text` names one of the texts of `web/mail_texts`.

    `values` may hold a secret, such as a link: it is sealed in the outbox and erased when the mail has left.
    """
    if not sends_mail(deployment):
        return
    body = {"to": to, "text": text, "locale": locale, "values": dict(values)}
    enqueue(deployment, connection, [Message(kind=MAIL, recipient=_recipients(deployment, to)[0], body=body)], now=now)


def forget_dead_mail(deployment: Deployment, connection: Connection, to: str) -> None:
    """Erase the mails to an address that could not be delivered, in the caller's transaction."""
    delete_dead_messages_to(connection, _recipients(deployment, to))


def _recipients(deployment: Deployment, to: str) -> list[str]:
    # Mails to one address wait for each other; the outbox shows the recipient, so it is named by a digest: by that of
    # the key of now, and of the one before it.
    return ["mail:" + digest.hex()[:24] for digest in deployment.seals.digests("mail-recipient", to.casefold())]
