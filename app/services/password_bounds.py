"""The bounds of every password, whoever chooses it. What a person chooses is judged as well (`password_rules`)."""

from typing import Final

from app.services.refusal import Refusal

MIN_PASSWORD_CHARACTERS: Final = 12
MAX_PASSWORD_CHARACTERS: Final = 1024


def check_password_bounds(password: str) -> None:
    """Raises `Refusal` unless the password has 12 to 1024 characters and no NUL. Judges nothing else."""
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise Refusal("invalid_password", f"the password must have at least {MIN_PASSWORD_CHARACTERS} characters")
    if len(password) > MAX_PASSWORD_CHARACTERS:
        raise Refusal("invalid_password", f"the password must have at most {MAX_PASSWORD_CHARACTERS} characters")
    if "\0" in password or any(0xD800 <= ord(character) <= 0xDFFF for character in password):
        raise Refusal("invalid_password", "the password holds a character that no browser can send")
