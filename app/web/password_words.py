"""What a person reads about a password that is not taken, and what would help."""

from collections.abc import Mapping
from typing import Final

from app.services.password_bounds import MIN_PASSWORD_CHARACTERS
from app.services.password_rules import PasswordFault
from app.web.language import gettext, mark

_SENTENCES: Final[Mapping[PasswordFault, str]] = {
    "short": mark("The password is too short: it needs at least %(least)s characters. A few words together are fine."),
    "long": mark("The password is too long: use at most 1024 characters."),
    "unsendable": mark("The password has a character that cannot be used."),
    "breached": mark("This password is in a list that attackers use. Choose one that you use nowhere else."),
    "common": mark("This password is easy to guess: it is close to a common word. Add one or two uncommon words."),
    "personal": mark("This password is easy to guess: your name or your address is in it. Choose other words."),
    "keyboard": mark("This password is easy to guess: keys that lie side by side are tried first. Use words instead."),
    "repeated": mark("This password is easy to guess: it repeats itself. Add other words."),
    "sequence": mark("This password is easy to guess: letters or digits in a row are tried first. Use words instead."),
    "guessable": mark("This password is easy to guess. Add one or two uncommon words."),
}


def password_sentence(fault: PasswordFault) -> str:
    """The sentence for what is wrong with a password."""
    return gettext(_SENTENCES[fault], least=MIN_PASSWORD_CHARACTERS)


def password_hint() -> str:
    """What stands beneath a field for a new password."""
    return gettext(
        "At least %(least)s characters. A few uncommon words are easy to remember and hard to guess.",
        least=MIN_PASSWORD_CHARACTERS,
    )
