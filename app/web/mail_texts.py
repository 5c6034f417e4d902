"""The mails that people get, by the names under which the services ask for them.

A mail says what happened, when, from which address, what to do if it was not you, and who is writing. Plain text, so
that nothing in it can be anything else than what it shows; whole sentences, so that they can be translated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.services.send_mail import MailRenderer, MailText
from app.web.describe_device import describe_device
from app.web.display_text import one_line
from app.web.language import gettext, mark, speaking

_MOST_VALUE_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """One mail. `happened`: what it is about. `then`: what to do; `not_you`: what to do if that was somebody else."""

    subject: str
    happened: tuple[str, ...]
    then: tuple[str, ...] = ()
    not_you: tuple[str, ...] = ()


_GET_IT_BACK = mark(
    "If it was not you, somebody else may be using your account. Choose a new password at %(reset_url)s, which signs "
    "everybody out, and then look through what is set up at %(security_url)s."
)
_IGNORE_IT = mark("If it was not you, you need not do anything: without this link nothing happens.")
_BY_OPERATOR = mark("Whoever runs %(server_name)s did this. If you did not ask for it, ask them.")
_LINK_UNTIL = mark("The link works once, until %(until)s.")

_TEXTS: Final[Mapping[str, _Text]] = {
    # ----- Links -----
    "reset_password": _Text(
        subject=mark("Choose a new password"),
        happened=(mark("Somebody asked for a new password for your account %(username)s."),),
        then=(mark("To choose one, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(mark("If it was not you, you need not do anything: your password stays as it is."),),
    ),
    "reset_without_password": _Text(
        subject=mark("Your account has no password"),
        happened=(
            mark("Somebody asked for a new password for your account %(username)s."),
            mark("It has none: sign in as you always do, with a passkey or with an account elsewhere."),
        ),
        not_you=(mark("If it was not you, you need not do anything."),),
    ),
    "sign_up": _Text(
        subject=mark("Confirm your e-mail address"),
        happened=(mark("Somebody wants to make an account with this address."),),
        then=(mark("To confirm that it was you, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(mark("If it was not you, you need not do anything: without this link there will be no account."),),
    ),
    "sign_up_known": _Text(
        subject=mark("You already have an account"),
        happened=(
            mark("Somebody wanted to make an account with this address, but there is one already: %(username)s."),
        ),
        then=(mark("If you have forgotten the password, choose a new one at %(reset_url)s."),),
        not_you=(mark("If it was not you, you need not do anything: nothing has changed."),),
    ),
    "verify_email": _Text(
        subject=mark("Confirm your e-mail address"),
        happened=(mark("You asked to confirm that this is the address of your account %(username)s."),),
        then=(mark("To confirm it, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(_IGNORE_IT,),
    ),
    "change_email": _Text(
        subject=mark("Confirm your new e-mail address"),
        happened=(mark("This is to become the address of the account %(username)s."),),
        then=(mark("To confirm it, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(_IGNORE_IT,),
    ),
    "invitation": _Text(
        subject=mark("You are invited"),
        happened=(mark("There is an account for you: %(username)s."),),
        then=(mark("To choose its password, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(mark("If you did not expect this, you need not do anything."),),
    ),
    "provider_invitation": _Text(
        subject=mark("You are invited"),
        happened=(mark("You can have an account here by signing in at %(provider)s with this e-mail address."),),
        then=(mark("To do so, open this page:"), "%(link)s", _LINK_UNTIL),
        not_you=(mark("If you did not expect this, you need not do anything."),),
    ),
    # ----- What was done to an account -----
    "email_change_asked": _Text(
        subject=mark("Your e-mail address is about to change"),
        happened=(
            mark("Somebody who was signed in to your account %(username)s asked for another e-mail address."),
            mark("It changes once the new address has been confirmed."),
        ),
        not_you=(_GET_IT_BACK,),
    ),
    "email_changed": _Text(
        subject=mark("Your e-mail address was changed"),
        happened=(
            mark("Your account %(username)s has another e-mail address now. Mails will no longer come to this one."),
        ),
        not_you=(
            mark(
                "If it was not you, tell whoever runs %(server_name)s at once: this address can no longer be used to "
                "get the account back."
            ),
        ),
    ),
    "password_changed": _Text(
        subject=mark("Your password was changed"),
        happened=(mark("Your account %(username)s has a new password."),),
        not_you=(_GET_IT_BACK,),
    ),
    "totp_added": _Text(
        subject=mark("An authenticator app was added"),
        happened=(mark("An authenticator app was added to your account %(username)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "totp_removed": _Text(
        subject=mark("The authenticator app was removed"),
        happened=(mark("The authenticator app was removed from your account %(username)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "passkey_added": _Text(
        subject=mark("A passkey was added"),
        happened=(mark("The passkey “%(name)s” was added to your account %(username)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "passkey_removed": _Text(
        subject=mark("A passkey was removed"),
        happened=(mark("The passkey “%(name)s” was removed from your account %(username)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "passkey_cloned": _Text(
        subject=mark("A passkey may have been copied"),
        happened=(
            mark("The passkey “%(name)s” of your account %(username)s seems to exist twice. It was not let in."),
        ),
        then=(mark("Remove it at %(security_url)s, and add a new one."),),
        not_you=(_GET_IT_BACK,),
    ),
    "second_factor_failed": _Text(
        subject=mark("Somebody did not get past your second factor"),
        happened=(
            mark("Somebody signed in as %(username)s as far as the second factor, and then entered only wrong codes."),
            mark("They did not get in, and they know your password, or have what else you sign in with first."),
        ),
        not_you=(mark("If it was not you, choose a new password at %(reset_url)s."),),
    ),
    "recovery_code_used": _Text(
        subject=mark("A recovery code was used"),
        happened=(
            mark("Somebody signed in to your account %(username)s with one of its recovery codes."),
            mark("Recovery codes that are left: %(remaining)s"),
        ),
        not_you=(_GET_IT_BACK,),
    ),
    "recovery_codes_renewed": _Text(
        subject=mark("New recovery codes were made"),
        happened=(mark("New recovery codes were made for your account %(username)s. The old ones no longer work."),),
        not_you=(_GET_IT_BACK,),
    ),
    "login_linked": _Text(
        subject=mark("A way to sign in was added"),
        happened=(mark("Your account %(username)s can now be signed in to through %(provider)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "login_unlinked": _Text(
        subject=mark("A way to sign in was removed"),
        happened=(mark("Your account %(username)s can no longer be signed in to through %(provider)s."),),
        not_you=(_GET_IT_BACK,),
    ),
    "new_device": _Text(
        subject=mark("A new sign-in"),
        happened=(
            mark("Somebody signed in to your account %(username)s in a browser that was not used for it before."),
            mark("With: %(device)s"),
        ),
        not_you=(_GET_IT_BACK,),
    ),
    "many_failed_logins": _Text(
        subject=mark("Somebody tried to sign in to your account"),
        happened=(mark("Somebody tried many wrong passwords for your account %(username)s, and did not get in."),),
        then=(mark("If it was you, and you have forgotten the password, choose a new one at %(reset_url)s."),),
        not_you=(mark("If it was not you: a passkey, which nobody can guess, can be added at %(security_url)s."),),
    ),
    "factors_reset": _Text(
        subject=mark("Your second factors were removed"),
        happened=(
            mark("The authenticator app, the passkeys and the recovery codes of your account %(username)s are gone."),
        ),
        not_you=(_GET_IT_BACK,),
    ),
    # By whoever runs the server only, so that what to do is always to ask them.
    "administrator_named": _Text(
        subject=mark("You are an administrator now"),
        happened=(mark("Your account %(username)s was made an administrator."),),
        not_you=(_BY_OPERATOR,),
    ),
    "administrator_unnamed": _Text(
        subject=mark("You are no longer an administrator"),
        happened=(mark("Your account %(username)s is no longer an administrator."),),
        not_you=(_BY_OPERATOR,),
    ),
    "account_locked": _Text(
        subject=mark("Your account was locked"),
        happened=(
            mark(
                "Your account %(username)s was locked. You are signed out, and what you allowed applications has ended."
            ),
        ),
        not_you=(_BY_OPERATOR,),
    ),
    "account_unlocked": _Text(
        subject=mark("Your account was unlocked"),
        happened=(mark("Your account %(username)s was unlocked. You can sign in again."),),
        not_you=(_BY_OPERATOR,),
    ),
    "signed_out_everywhere": _Text(
        subject=mark("You were signed out everywhere"),
        happened=(mark("Your account %(username)s was signed out in every browser."),),
        not_you=(_BY_OPERATOR,),
    ),
    "email_confirmed_for_you": _Text(
        subject=mark("Your e-mail address counts as confirmed"),
        happened=(mark("The e-mail address of your account %(username)s counts as confirmed now."),),
        not_you=(_BY_OPERATOR,),
    ),
    "email_unconfirmed": _Text(
        subject=mark("Your e-mail address no longer counts as confirmed"),
        happened=(mark("The e-mail address of your account %(username)s no longer counts as confirmed."),),
        not_you=(_BY_OPERATOR,),
    ),
    "account_deleted": _Text(
        subject=mark("Your account was deleted"),
        happened=(mark("Your account %(username)s was deleted, with everything that was kept about you."),),
        not_you=(mark("If it was not you, tell whoever runs %(server_name)s."),),
    ),
}


def mail_renderer(*, issuer: str, server_name: str) -> MailRenderer:
    """What puts a mail's words together for one server; every link in them begins with its issuer."""

    def render(text: str, locale: str | None, values: Mapping[str, str]) -> MailText:
        shown = {name: one_line(value, _MOST_VALUE_CHARACTERS) for name, value in values.items() if name != "link"}
        shown |= {
            "server_name": server_name,
            "issuer": issuer,
            "reset_url": f"{issuer}/reset",
            "security_url": f"{issuer}/account/security",
        }
        if "device" in values:
            shown["device"] = describe_device(values["device"])
        if "link" in values:
            shown["link"] = values["link"]
        if "until" in shown:
            shown["until"] = _moment(shown["until"])
        with speaking(locale):
            return _render(_TEXTS[text], shown)

    return render


def _render(text: _Text, shown: Mapping[str, str]) -> MailText:
    def say(sentences: tuple[str, ...]) -> str:
        return "\n\n".join(gettext(sentence, **shown) for sentence in sentences)

    not_you = (_BY_OPERATOR,) if shown.get("by") == "operator" else text.not_you
    paragraphs = (
        say(text.happened),
        "\n".join(_circumstances(shown)),
        say(text.then),
        say(not_you),
        f"-- \n{shown['server_name']}\n{shown['issuer']}",
    )
    subject = gettext("%(server_name)s: %(subject)s", server_name=shown["server_name"], subject=gettext(text.subject))
    return MailText(subject=one_line(subject), body="\n\n".join(part for part in paragraphs if part) + "\n")


def _circumstances(shown: Mapping[str, str]) -> list[str]:
    lines = []
    if shown.get("at"):
        lines.append(gettext("When: %(when)s", when=_moment(shown["at"])))
    if shown.get("address"):
        lines.append(gettext("From the address: %(address)s", address=shown["address"]))
    return lines


def _moment(milliseconds: str) -> str:
    """A time that reads the same in every language."""
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
