"""Telling a person by mail what happened to their account: written to the outbox in the transaction that did it.

The message names its text and its values; the words are put together where the pages' words are, in the person's
language, when it leaves. Without `TOKENHOUSE_SMTP_URL` there is no mail, and nothing is written.
"""

from collections.abc import Mapping
from typing import Final

from app.services.deployment import Deployment
from app.services.outbox import Message, enqueue
from app.storage.database import Connection

MAIL: Final = "mail"


def sends_mail(deployment: Deployment) -> bool:
    """Whether this deployment can send mail at all."""
    return deployment.settings.smtp_url is not None


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
    # Mails to one address wait for each other; the outbox shows the recipient, so it is named by a digest.
    recipient = "mail:" + deployment.seals.digest("mail-recipient", to.casefold())[0].hex()[:24]
    enqueue(deployment, connection, [Message(kind=MAIL, recipient=recipient, body=body)], now=now)
