"""Flask: one decorator.

use_verifier(app, AccessTokenVerifier(issuer="https://login.example.com", audience="https://api.example.com"))

@app.get("/photos")
@require_token("photos.read")
def photos():
    return list_photos(owner=g.access_token.subject)
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Final, ParamSpec, cast

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue

from .access_token import AccessTokenVerifier
from .protected_resource import Refusal, admit
from .requirement import require
from .wsgi import request_from_environ

_EXTENSION: Final = "tokenhouse_verifier"
P = ParamSpec("P")


def use_verifier(app: Flask, verifier: AccessTokenVerifier) -> None:
    """Makes `verifier` the one that require_token uses here, and serves its RFC 9728 metadata.

    The metadata's path counts from the root of the host: an application that is mounted beneath a path does not get
    requests for it, and serves `verifier.published.body` from its root some other way.
    """
    app.extensions[_EXTENSION] = verifier
    published = verifier.published
    if published.path is not None:
        app.add_url_rule(
            published.path,
            "tokenhouse_verifier_metadata",
            lambda: Response(published.body, headers=published.headers),
        )


def require_token(
    *scope: str,
    authorization_details: str | Collection[str] = (),
    acr_values: str | Collection[str] = (),
    max_age_s: int | None = None,
    verifier: AccessTokenVerifier | None = None,
) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """Returns a decorator for views that need a token with every one of these scopes; it stands below the route.

    It may also have to carry `authorization_details` of these types, and stand on a login with one of `acr_values`
    that is at most `max_age_s` old; where it is not, the answer tells the client to let the person log in again.
    The view finds the AccessTokenClaims in `flask.g.access_token`. A refused request never reaches it. `verifier`
    takes the place of the application's, for an application that serves several resources.
    """
    # `@require_token` without parentheses would hand the view in as a scope and protect nothing.
    if not all(isinstance(name, str) for name in scope):
        raise TypeError("require_token is called with scopes: @require_token() or @require_token('photos.read')")
    requirement = require(
        " ".join(scope), authorization_details=authorization_details, acr_values=acr_values, max_age_s=max_age_s
    )

    def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            chosen = verifier or _get_verifier()
            try:
                g.access_token = admit(chosen, request_from_environ(request.environ), requirement)
            except Refusal as refusal:
                return Response(refusal.body, status=refusal.status, headers=refusal.headers)
            # ensure_sync runs an `async def` view as Flask itself would.
            return cast(ResponseReturnValue, current_app.ensure_sync(view)(*args, **kwargs))

        return guarded

    return decorate


def _get_verifier() -> AccessTokenVerifier:
    verifier: AccessTokenVerifier | None = current_app.extensions.get(_EXTENSION)
    if verifier is None:
        raise RuntimeError("require_token needs a verifier: call use_verifier(app, AccessTokenVerifier(...)) first")
    return verifier
