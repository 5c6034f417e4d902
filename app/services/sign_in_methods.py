"""How a person can get in by themselves: a password, passkeys, logins of other providers. The last of them stays.

An authenticator app and recovery codes let nobody in alone, so they can always be removed.
"""

from dataclasses import dataclass

from app.storage.database import Connection
from app.storage.factors import count_passkeys
from app.storage.linked_identities import count_ways_in
from app.storage.users import UserRow


class LastSignInMethod(Exception):
    """Without it nobody could sign in to the account any more: it cannot be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInMethods:
    """What lets one person in. `linked_logins`: those by which they may sign in."""

    has_password: bool
    passkeys: int
    linked_logins: int

    @property
    def count(self) -> int:
        """How many ways in there are."""
        return int(self.has_password) + self.passkeys + self.linked_logins


def find_sign_in_methods(connection: Connection, user: UserRow) -> SignInMethods:
    """The ways in that a person has now."""
    return SignInMethods(
        has_password=user.password_hash is not None,
        passkeys=count_passkeys(connection, user.id),
        linked_logins=count_ways_in(connection, user.id),
    )


def check_way_in_remains(connection: Connection, user: UserRow) -> None:
    """To be called after a way in was removed, in the transaction that did it and holds the person's row (`lock_user`,
    so that two that are removed at the same moment see each other). Raises `LastSignInMethod`, which takes it back.
    """
    if find_sign_in_methods(connection, user).count == 0:
        raise LastSignInMethod
