"""The Flask decorator. The only module of this package that imports Flask."""

from .verifier.flask import require_token, use_verifier

__all__ = ["require_token", "use_verifier"]
