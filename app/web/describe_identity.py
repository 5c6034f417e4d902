"""What a client learns about a person, in the person's words: the scopes of OpenID Connect, and its single claims."""

from typing import Final

from app.services.decide_interaction import CLAIM_PREFIX

_SCOPES: Final = {
    "openid": "Know that it is you, by an identifier of your account here",
    "profile": "See your name, picture and other details of your profile",
    "email": "See your e-mail address",
    "address": "See your postal address",
    "phone": "See your telephone number",
    "offline_access": "Keep this access while you are signed out",
}
_CLAIMS: Final = {
    "name": "See your full name",
    "family_name": "See your family name",
    "given_name": "See your given name",
    "middle_name": "See your middle name",
    "nickname": "See your nickname",
    "preferred_username": "See your username",
    "profile": "See the address of your profile page",
    "picture": "See your picture",
    "website": "See the address of your website",
    "gender": "See your gender",
    "birthdate": "See your date of birth",
    "zoneinfo": "See your time zone",
    "locale": "See your language and region",
    "updated_at": "See when your details were last changed",
    "email": "See your e-mail address",
    "email_verified": "See whether your e-mail address was verified",
    "address": "See your postal address",
    "phone_number": "See your telephone number",
    "phone_number_verified": "See whether your telephone number was verified",
}


def describe_identity(name: str) -> str:
    """The sentence for a scope of ours, or for a single claim (`claim:` and its name)."""
    claim = name.removeprefix(CLAIM_PREFIX)
    if claim == name:
        return _SCOPES[name]
    # A claim of the operator's own has no words here. Its name is a word, never a sentence of the client's choice.
    return _CLAIMS.get(claim) or f"See what is recorded about you as {claim}"
