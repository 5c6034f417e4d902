"""`tokenhouse user`."""

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from app.cli.display import details, moment, seconds, table
from app.cli.opening import opened_deployment, read_claims, read_password
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_users
from app.services.invite_person import invite_person
from app.services.manage_users import NewUser, User
from app.services.show_activity import list_user_sessions, show_activity

_CLAIMS_HELP = "OpenID Connect claims, as a JSON object in a file, or - for standard input."


@click.group("user", cls=OperatorGroup)
def command() -> None:
    """The people who log in. NAME is a username or a subject."""


@command.command("add")
@click.argument("name")
@click.option("--email", required=True, metavar="E")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--claims", metavar="FILE", help=_CLAIMS_HELP)
@click.option("--admin", is_flag=True, help="Make an administrator.")
def add(name: str, email: str, password_stdin: bool, claims: str | None, admin: bool) -> Answer:
    """Add a person."""
    _check_stdin_is_read_once(password_stdin, claims)
    user_claims = read_claims(claims) or {}
    password = read_password(from_stdin=password_stdin, who=name)
    with opened_deployment() as deployment:
        new_user = NewUser(username=name, email=email, password=password, claims=user_claims, is_admin=admin)
        return _answer(manage_users.add_user(deployment, new_user))


@command.command("invite")
@click.argument("name")
@click.option("--email", required=True, metavar="E")
@click.option("--claims", metavar="FILE", help=_CLAIMS_HELP)
def invite(name: str, email: str, claims: str | None) -> Answer:
    """Add a person without a password, and send them a link to choose one. Again: send another link."""
    user_claims = read_claims(claims) or {}
    with opened_deployment() as deployment:
        return _answer(invite_person(deployment, NewUser(username=name, email=email, claims=user_claims)))


@command.command("list")
def list_() -> Answer:
    """Everybody, by name."""
    with opened_deployment() as deployment:
        users = manage_users.list_users(deployment)
    rows = [(user.username, user.email, user.disabled, user.admin, user.sub) for user in users]
    human = table(("username", "e-mail", "disabled", "admin", "sub"), rows)
    return Answer(document=[_document(user) for user in users], human=human)


@command.command("show")
@click.argument("name")
def show(name: str) -> Answer:
    """One person, with what is known of them."""
    with opened_deployment() as deployment:
        user = manage_users.show_user(deployment, name)
        methods, factors = manage_users.show_ways_in(deployment, name)
        activity = show_activity(deployment, user)
    ways_in = {
        "password": methods.has_password,
        "passkeys": methods.passkeys,
        "linked_logins": methods.linked_logins,
        "authenticator": factors.has_totp,
        "recovery_codes": factors.recovery_codes,
    }
    at = {
        "last_login_at": seconds(activity.last_login_at),
        "sessions": activity.sessions,
        "throttled_for_s": activity.waits_s,
    }
    shown = [
        ("last login", moment(activity.last_login_at) or "none that is known of"),
        ("sessions", activity.sessions),
        ("throttled", "no" if activity.waits_s is None else f"for {activity.waits_s} s; known devices are not"),
    ]
    return _answer(user, shown=shown, factors=ways_in, activity=at)


@command.command("sessions")
@click.argument("name")
def sessions(name: str) -> Answer:
    """Where a person is signed in, the latest used first."""
    with opened_deployment() as deployment:
        opened = list_user_sessions(deployment, manage_users.show_user(deployment, name))
    rows = [
        (
            moment(each.created_at),
            moment(each.last_used_at),
            moment(each.expires_at),
            each.address or "",
            each.user_agent,
        )
        for each in opened
    ]
    document = [
        {
            "session": each.session_id,
            "began_at": seconds(each.created_at),
            "last_used_at": seconds(each.last_used_at),
            "expires_at": seconds(each.expires_at),
            "address": each.address or "",
            "user_agent": each.user_agent,
        }
        for each in opened
    ]
    return Answer(document=document, human=table(("began", "last used", "ends", "address", "browser"), rows))


@command.command("sign-out")
@click.argument("name")
def sign_out(name: str) -> Answer:
    """End a person's sessions everywhere. What was granted for longer lives on; `grants revoke` ends that."""
    with opened_deployment() as deployment:
        return _answer(manage_users.sign_out_user(deployment, name))


@command.command("remove")
@click.argument("name")
def remove(name: str) -> Answer:
    """Delete a person's account, with all that it opened. The subject is never given out again; the name is free."""
    with opened_deployment() as deployment:
        return _answer(manage_users.remove_user(deployment, name))


@command.command("export")
@click.argument("name")
def export(name: str) -> Answer:
    """All that is held about a person, as JSON."""
    with opened_deployment() as deployment:
        document = manage_users.export_user(deployment, name)
    text = json.dumps(document, indent=2)
    return Answer(document=document, human=Text(text, no_wrap=True, overflow="ignore"))


@command.command("unlock")
@click.argument("name")
def unlock(name: str) -> Answer:
    """Forget the wrong passwords and codes that make a person wait."""
    with opened_deployment() as deployment:
        return _answer(manage_users.unlock_user(deployment, name))


@command.command("disable")
@click.argument("name")
def disable(name: str) -> Answer:
    """Lock a person out, and end their sessions and grants."""
    with opened_deployment() as deployment:
        return _answer(manage_users.disable_user(deployment, name))


@command.command("enable")
@click.argument("name")
def enable(name: str) -> Answer:
    """Let a person in again. What was ended stays ended."""
    with opened_deployment() as deployment:
        return _answer(manage_users.enable_user(deployment, name))


@command.command("set-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def set_password(name: str, password_stdin: bool) -> Answer:
    """Replace a person's password, and end their sessions."""
    password = read_password(from_stdin=password_stdin, who=name)
    with opened_deployment() as deployment:
        return _answer(manage_users.set_password(deployment, name, password))


@command.command("reset-factors")
@click.argument("name")
def reset_factors(name: str) -> Answer:
    """Remove a person's authenticator app, passkeys and recovery codes, and end their sessions. They get a mail."""
    with opened_deployment() as deployment:
        return _answer(manage_users.reset_factors(deployment, name))


@command.command("set")
@click.argument("name")
@click.option("--email", metavar="E", help="A new e-mail address; unverified unless the claims say otherwise.")
@click.option("--claims", metavar="FILE", help=_CLAIMS_HELP + " Replaces all claims.")
@click.option("--admin/--no-admin", default=None, help="Make an administrator, or no longer.")
def set_(name: str, email: str | None, claims: str | None, admin: bool | None) -> Answer:
    """Change what is known of a person."""
    if email is None and claims is None and admin is None:
        raise click.UsageError("nothing to set: use --email, --claims, --admin or --no-admin")
    user_claims = read_claims(claims)
    with opened_deployment() as deployment:
        user = manage_users.set_user(deployment, name, email=email, claims=user_claims, is_admin=admin)
        return _answer(user)


def _check_stdin_is_read_once(password_stdin: bool, claims: str | None) -> None:
    if password_stdin and claims == "-":
        raise click.UsageError("standard input cannot hold both the password and the claims")


def _document(user: User) -> dict[str, Any]:
    return {
        "sub": user.sub,
        "username": user.username,
        "email": user.email,
        "disabled": user.disabled,
        "admin": user.admin,
    }


def _answer(user: User, *, shown: Sequence[tuple[str, Any]] = (), **more: dict[str, Any]) -> Answer:
    """`shown`: for people, what stands under `activity` for programs."""
    claims = [(f"claim {name}", value) for name, value in sorted(user.claims.items())]
    parts = [(name.replace("_", " "), value) for name, value in more.get("factors", {}).items()]
    human = details([*_document(user).items(), *parts, *shown, *claims])
    return Answer(document={**_document(user), **more}, human=human)
