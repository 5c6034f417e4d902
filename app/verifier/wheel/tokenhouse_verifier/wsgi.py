"""The WSGI middleware."""

from .verifier.wsgi import TokenMiddleware, get_claims

__all__ = ["TokenMiddleware", "get_claims"]
