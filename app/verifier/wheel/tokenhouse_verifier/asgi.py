"""The ASGI middleware."""

from .verifier.asgi import TokenMiddleware, get_claims

__all__ = ["TokenMiddleware", "get_claims"]
