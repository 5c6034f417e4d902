"""Events of the audit trail in the words of the person whom they are about.

What is not in the table is shown by its name: nothing that happened may be missing because nobody found words for it.
"""

from collections.abc import Mapping
from typing import Any, Final

from app.services.list_audit import AuditEvent
from app.web.language import gettext, mark

_SENTENCES: Final = {
    "account.exported": mark("What is held about you was downloaded."),
    "account.deleted": mark("The account was deleted."),
    "application.disconnected": mark("You ended all that %(application)s could do for you."),
    "code.expired": mark("%(application)s came too late with what you had allowed it; that access ended."),
    "code.replayed": mark("An answer to %(application)s was used twice; the access ended, in case it was stolen."),
    "code.spent_by_failure": mark("%(application)s could not prove that your answer was for it; that access ended."),
    "consent.denied": mark("You denied %(application)s what it asked for."),
    "email.change_asked": mark("A change of the e-mail address was begun."),
    "email.changed": mark("The e-mail address was changed."),
    "email.verified": mark("The e-mail address was confirmed."),
    "grant.created": mark("%(application)s was given access."),
    "grant.narrowed": mark("You limited the access of %(application)s."),
    "grant.revoked": mark("You ended the access of %(application)s."),
    "login.linked": mark("A login of another provider was linked."),
    "login.refused": mark("A sign-in was refused."),
    "login.succeeded": mark("You signed in."),
    "login.throttled": mark("Somebody entered many wrong passwords for your account, and did not get in."),
    "login.unlinked": mark("A login of another provider was unlinked."),
    "passkey.added": mark("A passkey was added."),
    "passkey.cloned": mark("A passkey seems to exist twice; it was refused."),
    "passkey.refused": mark("A passkey was refused."),
    "passkey.removed": mark("A passkey was removed."),
    "passkey.renamed": mark("A passkey was given another name."),
    "password.changed": mark("The password was changed."),
    "password.reset": mark("The password was replaced by way of a link in a mail."),
    "password_reset.asked": mark("A link to replace the password was asked for."),
    "profile.changed": mark("You changed your profile."),
    "recovery_code.used": mark("A recovery code was used."),
    "recovery_codes.renewed": mark("New recovery codes were made."),
    "refresh_token.expired": mark("%(application)s did not use its access for too long; it ended."),
    "refresh_token.reused": mark(
        "A spent key of %(application)s was used again; the access ended, as it may be stolen."
    ),
    "refresh_token.retried": mark("%(application)s asked again for an answer that it had missed."),
    "second_factor.declined": mark("A sign-in was given up at its second step."),
    "second_factor.refused": mark("A wrong code was entered at the second step of a sign-in."),
    "session.ended": mark("You were signed out in a browser."),
    "token.exchanged": mark("%(application)s passed its access on."),
    "token.issued": mark("%(application)s used its access."),
    "token.revoked": mark("%(application)s gave access back."),
    "totp.added": mark("An authenticator app was added."),
    "totp.removed": mark("The authenticator app was removed."),
    "user.created": mark("The account was made."),
    "user.signed_up": mark("The account was made."),
}
_BY_OPERATOR: Final = {
    "grant.revoked": mark("The administrator ended the access of %(application)s."),
    "session.ended": mark("The administrator signed you out in a browser."),
    "account.deleted": mark("The administrator deleted the account."),
    "account.exported": mark("The administrator exported what is held about you."),
    "user.changed": mark("The administrator changed your details."),
    "user.created": mark("The administrator made the account."),
    "user.disabled": mark("The administrator locked the account."),
    "user.enabled": mark("The administrator unlocked the account."),
    "user.factors_reset": mark("The administrator removed your second factors."),
    "user.invited": mark("The administrator made the account and sent an invitation."),
    "user.password_set": mark("The administrator set the password."),
    "user.signed_out": mark("The administrator signed you out everywhere."),
    "user.unlocked": mark("The administrator ended the wait after too many wrong passwords or codes."),
}
# What an event's body says more exactly than its type: which member is what, and the sentence for it. Of several that
# fit, each is said.
_BY_BODY: Final[Mapping[str, tuple[tuple[str, Any, str], ...]]] = {
    "account.looked_at": (
        ("what", "sessions", mark("The administrator looked at where you are signed in.")),
        ("what", "events", mark("The administrator looked at addresses and browsers in your activity.")),
    ),
    "grant.revoked": (
        ("reason", "client_disabled", mark("The administrator stopped %(application)s; its access ended.")),
        ("reason", "client_removed", mark("%(application)s was removed from this server; its access ended.")),
        (
            "reason",
            "client_became_public",
            mark("%(application)s proves who it is in another way now; the access that it had before ended."),
        ),
    ),
    "user.changed": (
        ("email", True, mark("The administrator changed your e-mail address.")),
        ("claims", True, mark("The administrator changed your profile.")),
        ("email_verified", True, mark("The administrator had your e-mail address count as confirmed.")),
        ("email_verified", False, mark("The administrator had your e-mail address no longer count as confirmed.")),
        ("admin", True, mark("The administrator made you an administrator, too.")),
        ("admin", False, mark("The administrator made you no longer an administrator.")),
    ),
}
_ON_NEW_DEVICE: Final = mark("You signed in in a browser that was not used for it before.")
_METHODS: Final = {
    "pwd": mark("password"),
    # Of an app or in its place: a recovery code is one, too.
    "otp": mark("code"),
    "hwk": mark("passkey"),
    "swk": mark("passkey"),
    "fed": mark("another provider"),
}
# Words of RFC 8176 that say something of the others, and of which nobody thinks as a way to sign in.
_UNSAID: Final = frozenset({"mfa", "mca", "user"})


def describe_event(event: AuditEvent, application: str) -> str:
    """The sentence for an event. `application`: what people call the client that it concerns."""
    exactly = [gettext(sentence, application=application) for sentence in _find_by_body(event)]
    if exactly:
        return " ".join(exactly)
    sentence = _BY_OPERATOR.get(event.type) if event.actor == "operator" else None
    if sentence is not None:
        return gettext(sentence, application=application)
    words = _ON_NEW_DEVICE if event.body.get("new_device") is True else _SENTENCES.get(event.type)
    if words is None:
        return gettext("Something happened: %(what)s", what=event.type)
    text = gettext(words, application=application)
    if event.actor == "operator":
        return gettext("%(what)s (By the administrator.)", what=text)
    return text


def _find_by_body(event: AuditEvent) -> list[str]:
    said = {**dict.fromkeys(event.body.get("changed", ()), True), **event.body}
    return [
        sentence for member, value, sentence in _BY_BODY.get(event.type, ()) if member in said and said[member] == value
    ]


def is_known(event_type: str) -> bool:
    """Whether there are words for events of this type."""
    return event_type in _SENTENCES or event_type in _BY_OPERATOR or event_type in _BY_BODY


def describe_methods(methods: tuple[str, ...]) -> str:
    """By what somebody signed in (RFC 8176), as they would say it."""
    words = [gettext(_METHODS[name]) if name in _METHODS else name for name in methods if name not in _UNSAID]
    return ", ".join(dict.fromkeys(words))


def find_methods(body: Mapping[str, Any]) -> str:
    """By what somebody signed in, as an event tells it; empty where it does not."""
    method = body.get("method")
    return describe_methods(tuple(method.split())) if isinstance(method, str) else ""
