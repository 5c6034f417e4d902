"""Somebody asks for an account: a link goes to its address, and with it the account comes to be (`confirm_account`).

Whether there is one already is found out after the request was answered, and told to that address alone: the answer,
and the time that it takes, are the same for every address.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.services.account_names import email_key
from app.services.deployment import Deployment
from app.services.email_links import make_link
from app.services.limit_mails import count_mail
from app.services.manage_users import NewUser, check_new_user
from app.services.notify_person import enqueue_mail, mail_person
from app.services.outbox import Delivery, Message, Sender, enqueue
from app.services.password_rules import check_chosen_password
from app.services.refusal import Refusal
from app.services.verified_email import check_new_address
from app.services.whereabouts import Whereabouts
from app.specs.metadata_values import has_invisible
from app.storage.database import Connection
from app.storage.users import find_users_by_email

SIGN_UP_ASKED: Final = "sign_up_asked"
MAX_NAME_CHARACTERS: Final = 100
_MOST_USERNAME_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What somebody entered who wants an account; `locale` is the language in which they did."""

    name: str
    email: str
    password: str = field(repr=False)
    locale: str


class BadName(Exception):
    """The name cannot be one."""


class BadAddress(Exception):
    """No mail can be sent there."""


def ask_for_account(deployment: Deployment, account: NewAccount, origin: Whereabouts, *, transaction_id: str) -> None:
    """Have a link sent to the address, with which the account comes to be; or word that there is one.

    Raises `BadName`, `BadAddress`, `WeakPassword`, `TooManyAttempts` and `PasswordPoolBusy`, none of which says
    anything of whom there is.
    """
    _check(account)
    check_chosen_password(deployment, account.password, about=(account.name, account.email))
    key = email_key(account.email)
    refusal = deployment.database.transact(
        lambda connection: count_mail(deployment, connection, key, origin, now=deployment.clock())
    )
    if refusal is not None:
        raise refusal
    body = {
        "name": account.name,
        "email": account.email,
        "password_hash": deployment.passwords.hash(account.password),
        "locale": account.locale,
        "transaction": transaction_id,
        "asked_at": str(deployment.clock()),
        **origin.personal,
    }
    recipient = "sign-up:" + deployment.seals.digest("mail-recipient", key)[0].hex()[:24]
    message = Message(kind=SIGN_UP_ASKED, recipient=recipient, body=body)
    deployment.database.transact(lambda connection: enqueue(deployment, connection, [message], now=deployment.clock()))


def sign_up_asked_sender(deployment: Deployment) -> Sender:
    """What goes on with a request once it was answered."""

    def send(delivery: Delivery) -> None:
        body = delivery.body

        def work(connection: Connection) -> None:
            now = deployment.clock()
            owners = find_users_by_email(connection, email_key(body["email"]))
            if not owners:
                _mail_link(deployment, connection, body, now=now)
            elif owners[0].disabled_at is None:
                values = {"address": body["address"]}
                mail_person(deployment, connection, owners[0], "sign_up_known", values, now)

        deployment.database.transact(work)

    return send


def _mail_link(deployment: Deployment, connection: Connection, body: Mapping[str, str], *, now: int) -> None:
    link = make_link(deployment, connection, "sign_up", None, body=body, now=now)
    values = {"at": str(now), "address": body["address"], **link.values}
    to, locale = body["email"], body["locale"]
    enqueue_mail(deployment, connection, to=to, text="sign_up", locale=locale, values=values, now=now)


def _check(account: NewAccount) -> None:
    has_letters = re.search(r"[^\W_]", account.name) is not None
    if len(account.name) > MAX_NAME_CHARACTERS or not has_letters or has_invisible(account.name):
        raise BadName
    try:
        check_new_address(account.email)
    except (Refusal, ValueError) as error:
        raise BadAddress from error
    username = wanted_username(account.name)
    try:
        check_new_user(signed_up_user(username, name=account.name, email=account.email, locale=account.locale))
    except Refusal as refusal:
        raise BadName from refusal


def signed_up_user(username: str, *, name: str, email: str, locale: str) -> NewUser:
    """The person that comes of a sign-up, once their address is confirmed."""
    return NewUser(username=username, email=email, claims={"name": name, "locale": locale, "email_verified": True})


def wanted_username(name: str) -> str:
    """A username from what somebody is called: letters and digits of any script, with dots between the words."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())
    return ".".join(words)[:_MOST_USERNAME_CHARACTERS].strip(".") or "person"
