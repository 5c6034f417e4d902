"""The WSGI middleware."""

from .verifier.wsgi import TokenMiddleware, get_claims, request_from_environ

__all__ = ["TokenMiddleware", "get_claims", "request_from_environ"]
