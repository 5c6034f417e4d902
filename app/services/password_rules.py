"""What a password that somebody chooses must be: long enough, hard to guess, and not known to attackers.

Nothing is said of the kinds of characters in it: that makes passwords that are hard to remember and easy to guess
(NIST SP 800-63B 5.1.1.2). How hard one is to guess is the judgement of zxcvbn, which knows words, names, dates,
keyboards, and what the person is called. An operator who sets a password is held to its length alone.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final, Literal

from zxcvbn import zxcvbn

from app.services.deployment import Deployment
from app.services.password_bounds import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, check_password_bounds
from app.services.refusal import Refusal

PasswordFault = Literal[
    "short", "long", "unsendable", "breached", "common", "personal", "keyboard", "repeated", "sequence", "guessable"
]
_LEAST_SCORE: Final = 3
# What zxcvbn looks at: its work grows with the square of the length, and nobody types more by heart.
_JUDGED_CHARACTERS: Final = 72
# Each different sign that may stand for a letter multiplies zxcvbn's work: 23 of them make it seconds.
_SIGNS_FOR_LETTERS: Final = frozenset("4@8({[<369&#!1/|0$57%2+")
_MOST_SIGNS: Final = 8
# zxcvbn keeps the words about a person in a dictionary that all of its callers share.
_judging = threading.Lock()
_FAULT_OF_PATTERN: Final[dict[str, PasswordFault]] = {
    "spatial": "keyboard",
    "repeat": "repeated",
    "sequence": "sequence",
}


class WeakPassword(Exception):
    """The password is not taken; `fault` is what the person should know about it."""

    def __init__(self, fault: PasswordFault) -> None:
        super().__init__(fault)
        self.fault = fault


def check_chosen_password(deployment: Deployment, password: str, *, about: Sequence[str]) -> None:
    """Raises `WeakPassword`, or `PasswordPoolBusy` (come back soon).

    `about`: what the person is called: names, addresses. They count as words that everybody tries first.
    """
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise WeakPassword("short")
    if len(password) > MAX_PASSWORD_CHARACTERS:
        raise WeakPassword("long")
    try:
        check_password_bounds(password)
    except Refusal as refusal:
        raise WeakPassword("unsendable") from refusal
    breached = deployment.breached_passwords
    if breached is not None and password in breached:
        raise WeakPassword("breached")
    fault = deployment.passwords.run(lambda: judge(password, about))
    if fault is not None:
        raise WeakPassword(fault)


def judge(password: str, about: Sequence[str]) -> PasswordFault | None:
    """What makes a password easy to guess; None where it is hard enough. At most some tenths of a second."""
    words = [word for text in about for word in (text, *text.replace("@", " ").replace(".", " ").split()) if word]
    judged = _with_few_signs(password[:_JUDGED_CHARACTERS])
    with _judging:
        result: dict[str, Any] = zxcvbn(judged, user_inputs=[word[:_JUDGED_CHARACTERS] for word in words])
    if result["score"] >= _LEAST_SCORE:
        return None
    longest = max(result["sequence"], key=lambda match: len(match["token"]))
    if longest["pattern"] == "dictionary":
        return "personal" if longest["dictionary_name"] == "user_inputs" else "common"
    return _FAULT_OF_PATTERN.get(longest["pattern"], "guessable")


def _with_few_signs(password: str) -> str:
    """The password with no more than eight different signs that zxcvbn might read as letters."""
    signs = list(dict.fromkeys(character for character in password if character in _SIGNS_FOR_LETTERS))
    for number, sign in enumerate(signs[_MOST_SIGNS:]):
        password = password.replace(sign, "~^*_-=;:,.?)}]>"[number % 15])
    return password
