"""Incident codes: what a caller is told of a refusal, so that the operator can find the rest."""

import secrets

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_incident() -> str:
    """Eight characters that are easy to read aloud; random, so that they tell nothing."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))
