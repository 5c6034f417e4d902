"""The ASGI middleware."""

from .verifier.asgi import TokenMiddleware, admit, get_claims, request_from_scope

__all__ = ["TokenMiddleware", "admit", "get_claims", "request_from_scope"]
