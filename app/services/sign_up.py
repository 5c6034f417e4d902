"""Somebody makes an account: it exists once they have shown that they read what comes to its address.

Whether there is one already is found out after the request was answered, and told to that address alone: the answer,
and the time that it takes, are the same for every address. Who opens the link in another browser than the one in which
they signed up is asked for the password that they chose: else somebody could make an account for another's address,
have them confirm it, and know its password.
"""

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.services.account_names import email_key, username_key
from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.email_links import look_at_link, make_link, redeem_link
from app.services.limit_guesses import (
    SECOND_FACTORS_OF_PERSON,
    Guess,
    TooManyAttempts,
    count_guesses,
)
from app.services.limit_mails import count_mail
from app.services.manage_users import NewUser, check_new_user, insert_new_user
from app.services.notify_person import enqueue_mail, mail_person
from app.services.outbox import Delivery, Message, Sender, enqueue
from app.services.password_bounds import MAX_PASSWORD_CHARACTERS
from app.services.password_rules import check_chosen_password
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.verified_email import EmailTaken, check_free, check_new_address
from app.services.whereabouts import Whereabouts
from app.specs.metadata_values import has_invisible
from app.storage.database import Connection
from app.storage.users import UserRow, find_user_by_name, find_users_by_email

SIGN_UP_ASKED: Final = "sign_up_asked"
MAX_NAME_CHARACTERS: Final = 100
_MOST_USERNAME_CHARACTERS: Final = 40
_TRIES: Final = 3


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


class WrongPassword(Exception):
    """Not the password that was chosen at sign-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUp:
    """An account that has just been made; `logged_in` where the sign-in that it was made for waits in this browser."""

    username: str
    logged_in: LoggedIn | None


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


def needs_password(deployment: Deployment, secret: str, transaction_ids: frozenset[str]) -> tuple[str, bool]:
    """The address that a link confirms, and whether the password is asked for. Raises `LinkOver`.

    `transaction_ids`: the sign-ins that wait in this browser.
    """
    body = look_at_link(deployment, "sign_up", secret).body
    return body["email"], body["transaction"] not in transaction_ids


def transaction_of(deployment: Deployment, secret: str) -> str:
    """For which sign-in an account is made. Raises `LinkOver`."""
    return look_at_link(deployment, "sign_up", secret).body["transaction"]


def confirm_account(deployment: Deployment, secret: str, *, arrival: Arrival | None, password: str) -> SignedUp:
    """Spend a link: the account exists.

    `arrival`: where the browser is the one that began, and its sign-in still waits: that goes on, with the password
    that was entered in it. Without it `password` has to be the one that was chosen. Raises `LinkOver`, `EmailTaken`,
    `WrongPassword`, `TooManyAttempts` and `PasswordPoolBusy`.
    """
    opened = look_at_link(deployment, "sign_up", secret)
    if arrival is None:
        _check_password(deployment, opened.row.digest.hex(), opened.body["password_hash"], password)

    def work(connection: Connection) -> SignedUp:
        now = deployment.clock()
        body = redeem_link(deployment, connection, "sign_up", secret, now=now).body
        user = _insert(deployment, connection, body, now=now)
        logged_in = None
        if arrival is not None:
            logged_in = begin_session(
                deployment,
                connection,
                arrival,
                user,
                methods=("pwd",),
                level="pwd",
                now=now,
                proven_at=int(body["asked_at"]),
            )
        return SignedUp(username=user.username, logged_in=logged_in)

    for _ in range(_TRIES - 1):
        try:
            return deployment.database.transact(work)
        except Refusal:
            # Somebody took the name in between; nothing was spent.
            continue
    return deployment.database.transact(work)


def _check(account: NewAccount) -> None:
    has_letters = re.search(r"[^\W_]", account.name) is not None
    if len(account.name) > MAX_NAME_CHARACTERS or not has_letters or has_invisible(account.name):
        raise BadName
    try:
        check_new_address(account.email)
    except (Refusal, ValueError) as error:
        raise BadAddress from error
    try:
        check_new_user(NewUser(username=_wanted_username(account.name), email=account.email, claims=_claims(account)))
    except Refusal as refusal:
        raise BadName from refusal


def _claims(account: NewAccount) -> dict[str, Any]:
    return {"name": account.name, "locale": account.locale, "email_verified": True}


def _check_password(deployment: Deployment, link: str, password_hash: str, password: str) -> None:
    def count(connection: Connection) -> TooManyAttempts | None:
        guess = Guess(SECOND_FACTORS_OF_PERSON, f"sign-up {link}")
        counted = count_guesses(connection, deployment.seals, [guess], now=deployment.clock())
        return counted if isinstance(counted, TooManyAttempts) else None

    refusal = deployment.database.transact(count)
    if refusal is not None:
        raise refusal
    if not deployment.passwords.verify(password_hash, password[: MAX_PASSWORD_CHARACTERS + 1]):
        raise WrongPassword


def _insert(deployment: Deployment, connection: Connection, body: Any, *, now: int) -> UserRow:
    check_free(connection, body["email"], user_id=None)
    if find_users_by_email(connection, email_key(body["email"])):
        # Not verified, but somebody's: an operator gave it to them.
        raise EmailTaken
    account = NewAccount(name=body["name"], email=body["email"], password="", locale=body["locale"])
    user = insert_new_user(
        connection,
        deployment.seals,
        NewUser(username=_free_username(connection, body["name"]), email=body["email"], claims=_claims(account)),
        password_hash=body["password_hash"],
        now=now,
    )
    personal = {"username": user.username, "address": body["address"], "user_agent": body["user_agent"]}
    event = Event(type="user.signed_up", actor="user", sub=user.sub, body={"admin": False}, personal=personal)
    deployment.recorder.record(connection, event)
    return user


def _wanted_username(name: str) -> str:
    """A username from what somebody is called: letters and digits of any script, with dots between the words."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())
    return ".".join(words)[:_MOST_USERNAME_CHARACTERS].strip(".") or "person"


def _free_username(connection: Connection, name: str) -> str:
    wanted = username = _wanted_username(name)
    while find_user_by_name(connection, username_key(username)) is not None:
        username = f"{wanted}.{secrets.randbelow(900_000) + 100_000}"
    return username
