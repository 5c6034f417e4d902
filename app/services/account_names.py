"""What somebody types to say which account they mean: a name or an address, in any of its spellings."""

import unicodedata


def username_key(username: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFKC", username).casefold().strip()


def email_key(email: str) -> str:
    """What two spellings of one address have in common."""
    return email.casefold()
