"""Somebody says that they forgot their password: who that is, if anybody, is found out after they got their answer.

The request counts, and writes down what was typed; the outbox's thread looks for the account. So the answer, and the
time that it takes, are the same for every name.
"""

from typing import Final

from app.services.account_names import email_key, username_key
from app.services.deployment import Deployment
from app.services.email_links import make_link
from app.services.limit_guesses import (
    Guess,
    TooManyAttempts,
    count_guesses,
)
from app.services.limit_mails import MAILS_TO_ADDRESS, count_mail
from app.services.notify_person import mail_person
from app.services.outbox import Delivery, Message, Sender, enqueue
from app.services.record_event import Event
from app.services.whereabouts import Whereabouts
from app.storage.database import Connection
from app.storage.users import UserRow, find_user_by_name, find_users_by_email

RESET_ASKED: Final = "reset_asked"
_MOST_TYPED_CHARACTERS: Final = 254
# One address may belong to several accounts as long as it is verified for none.
_MOST_ACCOUNTS: Final = 5


def ask_for_reset(deployment: Deployment, typed: str, origin: Whereabouts, *, transaction_id: str | None) -> None:
    """Have a link sent to whoever has this name or this address. Raises `TooManyAttempts`.

    `transaction_id`: the sign-in that goes on afterwards, in the browser that began it.
    """
    typed = typed.strip()
    if len(typed) > _MOST_TYPED_CHARACTERS:
        # Nobody's name, and nobody's address; what it begins with may be somebody's.
        typed = ""
    key = username_key(typed)
    body = {"typed": typed, "transaction": transaction_id or "", **origin.personal}

    def work(connection: Connection) -> TooManyAttempts | None:
        now = deployment.clock()
        refusal = count_mail(deployment, connection, key, origin, now=now)
        if refusal is not None:
            return refusal
        recipient = "reset:" + deployment.seals.digest("mail-recipient", key)[0].hex()[:24]
        enqueue(deployment, connection, [Message(kind=RESET_ASKED, recipient=recipient, body=body)], now=now)
        return None

    refusal = deployment.database.transact(work)
    if refusal is not None:
        raise refusal


def reset_asked_sender(deployment: Deployment) -> Sender:
    """What goes on with a request once it was answered."""

    def send(delivery: Delivery) -> None:
        body = delivery.body
        origin = Whereabouts(address=body["address"], user_agent=body["user_agent"])

        def work(connection: Connection) -> None:
            for user in _find_accounts(connection, body["typed"]):
                _send_link(deployment, connection, user, origin, transaction_id=body["transaction"])

        deployment.database.transact(work)

    return send


def _find_accounts(connection: Connection, typed: str) -> tuple[UserRow, ...]:
    by_name = find_user_by_name(connection, username_key(typed))
    found = {by_name.id: by_name} if by_name is not None else {}
    found |= {user.id: user for user in find_users_by_email(connection, email_key(typed))}
    return tuple(user for user in found.values() if user.disabled_at is None)[:_MOST_ACCOUNTS]


def _send_link(
    deployment: Deployment, connection: Connection, user: UserRow, origin: Whereabouts, *, transaction_id: str
) -> None:
    now = deployment.clock()
    # By the account too: its name, its address and their spellings would be as many times the mails.
    guess = Guess(MAILS_TO_ADDRESS, f"account {user.sub}")
    if isinstance(count_guesses(connection, deployment.seals, [guess], now=now), TooManyAttempts):
        return
    values = {"address": origin.address}
    text = "reset_without_password"
    # A link gives a password back, never a first one: who signs in otherwise is not made to depend on their mailbox.
    if user.password_hash is not None:
        text = "reset_password"
        link = make_link(deployment, connection, "reset", user, body={"transaction": transaction_id}, now=now)
        values |= link.values
    mail_person(deployment, connection, user, text, values, now)
    event = Event(type="password_reset.asked", actor="anonymous", sub=user.sub, personal=origin.personal)
    deployment.recorder.record(connection, event)
