"""What a client learns about a person, in the person's words: the scopes of OpenID Connect, and its single claims."""

from typing import Final

from app.services.decide_interaction import CLAIM_PREFIX
from app.web.language import gettext, mark

_SCOPES: Final = {
    "openid": mark("Know that it is you, by an identifier of your account here"),
    "profile": mark("See your name, picture and other details of your profile"),
    "email": mark("See your e-mail address"),
    "address": mark("See your postal address"),
    "phone": mark("See your telephone number"),
    "offline_access": mark("Keep this access while you are signed out"),
}
_CLAIMS: Final = {
    "name": mark("See your full name"),
    "family_name": mark("See your family name"),
    "given_name": mark("See your given name"),
    "middle_name": mark("See your middle name"),
    "nickname": mark("See your nickname"),
    "preferred_username": mark("See your username"),
    "profile": mark("See the address of your profile page"),
    "picture": mark("See your picture"),
    "website": mark("See the address of your website"),
    "gender": mark("See your gender"),
    "birthdate": mark("See your date of birth"),
    "zoneinfo": mark("See your time zone"),
    "locale": mark("See your language and region"),
    "updated_at": mark("See when your details were last changed"),
    "email": mark("See your e-mail address"),
    "email_verified": mark("See whether your e-mail address was verified"),
    "address": mark("See your postal address"),
    "phone_number": mark("See your telephone number"),
    "phone_number_verified": mark("See whether your telephone number was verified"),
}


def describe_identity(name: str) -> str:
    """The sentence for a scope of ours, or for a single claim (`claim:` and its name)."""
    claim = name.removeprefix(CLAIM_PREFIX)
    if claim == name:
        return gettext(_SCOPES[name])
    # A claim of the operator's own has no words here. Its name is a word, never a sentence of the client's choice.
    if claim in _CLAIMS:
        return gettext(_CLAIMS[claim])
    return gettext("See what is recorded about you as %(claim)s", claim=claim)
