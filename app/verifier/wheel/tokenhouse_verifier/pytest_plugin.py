"""The fixture `tokenhouse_issuer`, found by pytest itself. The only module of this package that imports pytest."""

from .verifier.pytest_plugin import DpopKey, MovableClock, TokenhouseIssuer, tokenhouse_issuer

__all__ = ["DpopKey", "MovableClock", "TokenhouseIssuer", "tokenhouse_issuer"]
