"""A resource server with Django, in one file: a decorator for views, and one line that serves the metadata.

    ISSUER=http://localhost:8400 AUDIENCE=http://localhost:8405/ python examples/django_api.py runserver --noreload 8405

In a project, `require_token` and the verifier go into a module of their own; settings and URLs are Django's as ever.
Outside of this repository the names come from the wheel `tokenhouse_verifier`.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path

from app.verifier import AccessTokenVerifier, Refusal, Requirement, admit, require
from app.verifier.wsgi import request_from_environ

View = Callable[..., HttpResponse]

verifier = AccessTokenVerifier(
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    # Behind a proxy: the networks whose X-Forwarded-For counts, for tokens that are limited to networks.
    trusted_proxies=os.environ.get("TRUSTED_PROXIES", "").split(),
)


def require_token(requirement: Requirement) -> Callable[[View], View]:
    """A decorator for views that need such a token; they find its claims in `request.access_token`.

    `request.META` is the WSGI environment. Under Django's ASGI handler take `request_from_scope(request.scope)` of
    `app.verifier.asgi` instead.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                request.access_token = admit(verifier, request_from_environ(request.META), requirement)
            except Refusal as refusal:
                return HttpResponse(refusal.body, status=refusal.status, headers=dict(refusal.headers))
            return view(request, *args, **kwargs)

        # A request without cookies cannot be forged across sites: the token is the permission.
        guarded.csrf_exempt = True  # type: ignore[attr-defined]
        return guarded

    return decorate


@require_token(require("photos.read"))
def photos(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"owner": request.access_token.subject})


@require_token(require("photos.write", max_age_s=600))
def upload(request: HttpRequest) -> HttpResponse:
    """Writing wants a login of the last ten minutes: the answer to an older one says so (RFC 9470)."""
    return JsonResponse({"owner": request.access_token.subject}, status=201)


def metadata(_request: HttpRequest) -> HttpResponse:
    """What this API is, for clients that find it first (RFC 9728)."""
    return HttpResponse(verifier.published.body, headers=dict(verifier.published.headers))


urlpatterns: list[URLPattern] = [path("photos", photos), path("uploads", upload)]
if verifier.published.path is not None:
    urlpatterns.append(path(verifier.published.path.removeprefix("/"), metadata))

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost", "127.0.0.1", "[::1]"],
    SECRET_KEY=os.urandom(32).hex(),  # nothing here is signed with it: no sessions, no forms
    LOGGING_CONFIG=None,
)
django.setup()
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
