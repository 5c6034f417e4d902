"""The link of a sign-up is opened: the account comes to be, and the sign-in for which it was made goes on.

Who opens it in another browser than the one in which they signed up is asked for the password that they chose: else
somebody could make an account for another's address, have them confirm it, and know its password.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.services.account_names import email_key, username_key
from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.email_links import look_at_link, redeem_link
from app.services.limit_guesses import (
    SECOND_FACTORS_OF_PERSON,
    Guess,
    TooManyAttempts,
    count_guesses,
)
from app.services.manage_users import insert_new_user
from app.services.password_bounds import MAX_PASSWORD_CHARACTERS
from app.services.record_event import Event
from app.services.refusal import Refusal
from app.services.sign_up import signed_up_user, wanted_username
from app.services.verified_email import EmailTaken, check_free
from app.storage.database import Connection
from app.storage.users import UserRow, find_user_by_name, find_users_by_email

_TRIES: Final = 3


class WrongPassword(Exception):
    """Not the password that was chosen at sign-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUp:
    """An account that has just been made; `logged_in` where the sign-in that it was made for waits in this browser."""

    username: str
    logged_in: LoggedIn | None


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


def _insert(deployment: Deployment, connection: Connection, body: Mapping[str, str], *, now: int) -> UserRow:
    check_free(connection, body["email"], user_id=None)
    if find_users_by_email(connection, email_key(body["email"])):
        # Not verified, but somebody's: an operator gave it to them.
        raise EmailTaken
    username = _free_username(connection, body["name"])
    user = insert_new_user(
        connection,
        deployment.seals,
        signed_up_user(username, name=body["name"], email=body["email"], locale=body["locale"]),
        password_hash=body["password_hash"],
        now=now,
    )
    personal = {"username": user.username, "address": body["address"], "user_agent": body["user_agent"]}
    event = Event(type="user.signed_up", actor="user", sub=user.sub, body={"admin": False}, personal=personal)
    deployment.recorder.record(connection, event)
    return user


def _free_username(connection: Connection, name: str) -> str:
    wanted = username = wanted_username(name)
    while find_user_by_name(connection, username_key(username)) is not None:
        username = f"{wanted}.{secrets.randbelow(900_000) + 100_000}"
    return username
