"""What an operator's change of somebody's details changed: for the person's history, and for the mails about it."""

from collections.abc import Mapping
from typing import Any

from app.storage.users import UserRow


def describe_change(
    row: UserRow,
    *,
    email: str,
    claims: Mapping[str, Any] | None,
    composed: Mapping[str, Any],
    is_admin: bool | None,
) -> dict[str, Any]:
    """The body of `user.changed`: what was changed, and not by what; `admin` and `email_verified`: what is now."""
    changed = {"email": email != row.email, "claims": claims is not None}
    body: dict[str, Any] = {"changed": sorted(what for what, is_changed in changed.items() if is_changed)}
    if is_admin is not None and is_admin != row.is_admin:
        body["admin"] = is_admin
    # With a new address it is said only where it counts as confirmed: that it does not is what new ones are like.
    is_verified, was_verified = bool(composed.get("email_verified")), bool(row.claims.get("email_verified"))
    if is_verified != was_verified and (is_verified or not changed["email"]):
        body["email_verified"] = is_verified
    return body


def notices_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The mails about what a change did beside the address, of which the former one is told anyway."""
    texts = {
        "admin": ("administrator_named", "administrator_unnamed"),
        "email_verified": ("email_confirmed_for_you", "email_unconfirmed"),
    }
    return tuple(yes if body[member] else no for member, (yes, no) in texts.items() if member in body)
