"""A photo printing service: a third-party web application that shows people their photos and takes their orders.

It knows no password. It sends people to the authorization server, gets a token that lets it see their photos for five
minutes, and shows the token to the photo library. Tokens stay on the server; the browser holds a random cookie.

Settings: ISSUER, CLIENT_ID, CLIENT_SECRET, LIBRARY_URL (the API), LIBRARY_RESOURCE (its name for tokens), and APP_URL,
where this application is reached.
"""

import argparse
import hmac
import logging
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from photos import LibraryRefused, PhotoLibrary
from sign_in import Issuer, PendingSignIn, Registration, SignedIn, SignInRefused

SCOPE = "openid profile photos.read photos.dates"
MAX_VISITORS = 10_000
MAX_PENDING = 10
PRICE_CENTS = 45


@dataclass(slots=True)
class Visitor:
    """One browser: what it has begun, who is signed in there, what was ordered."""

    visitor_id: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    csrf_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    pending: OrderedDict[str, PendingSignIn] = field(default_factory=OrderedDict, repr=False)
    signed_in: SignedIn | None = None
    order: tuple[str, ...] = ()


class Visitors:
    """The browsers, in memory: a restart forgets them, and everybody signs in again."""

    def __init__(self) -> None:
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()

    def find(self, visitor_id: str | None) -> Visitor | None:
        """The browser that holds this cookie."""
        return self._visitors.get(visitor_id or "")

    def add(self, visitor: Visitor) -> Visitor:
        """Remember a browser; past the limit the oldest is forgotten."""
        self._visitors[visitor.visitor_id] = visitor
        while len(self._visitors) > MAX_VISITORS:
            self._visitors.popitem(last=False)
        return visitor

    def remove(self, visitor: Visitor) -> None:
        """Forget a browser, and with it its tokens."""
        self._visitors.pop(visitor.visitor_id, None)


def create_app(issuer: Issuer, library: PhotoLibrary, *, resource: str, app_url: str) -> Flask:
    """The application."""
    app = Flask(__name__)
    visitors = Visitors()
    is_https = app_url.startswith("https://")
    cookie = "__Host-photo-printing" if is_https else "photo-printing"
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    def current() -> Visitor | None:
        return visitors.find(request.cookies.get(cookie))

    def keep(response: Response, visitor: Visitor) -> Response:
        response.set_cookie(cookie, visitor.visitor_id, path="/", httponly=True, secure=is_https, samesite="Lax")
        return response

    def own_form() -> Visitor:
        """The browser whose form this is; a form of somebody else's page has not got the token."""
        visitor = current()
        sent = request.form.get("csrf_token", "")
        if visitor is None or not hmac.compare_digest(sent.encode(), visitor.csrf_token.encode()):
            abort(403)
        return visitor

    @app.get("/")
    def home() -> ResponseReturnValue:
        visitor = current()
        if visitor is None or visitor.signed_in is None:
            return render_template("welcome.html")
        if visitor.signed_in.expires_at <= time.time():
            # The token ran out. The server still knows the person, so this is two redirects and no question.
            return redirect(url_for("begin"), code=303)
        photos = library.list_photos(visitor.signed_in.access_token)
        return render_template("photos.html", visitor=visitor, photos=photos, price=price(1))

    @app.get("/sign-in")
    def begin() -> ResponseReturnValue:
        pending = issuer.begin(scope=SCOPE, resource=resource)
        visitor = current() or visitors.add(Visitor())
        visitor.pending[pending.state] = pending
        while len(visitor.pending) > MAX_PENDING:
            visitor.pending.popitem(last=False)
        return keep(app.make_response(redirect(pending.url, code=303)), visitor)

    @app.get("/callback")
    def callback() -> ResponseReturnValue:
        visitor = current()
        # Popped, not read: an answer counts once, and only in the browser that asked.
        pending = visitor.pending.pop(request.args.get("state", ""), None) if visitor is not None else None
        if visitor is None or pending is None:
            raise SignInRefused("untrusted_answer", "this answer does not belong to a sign-in that began here")
        signed_in = issuer.finish(pending, request.args)
        # A new identifier at each login: whoever planted the old one in this browser does not come along.
        visitors.remove(visitor)
        renewed = visitors.add(Visitor(pending=visitor.pending, signed_in=signed_in))
        return keep(app.make_response(redirect(url_for("home"), code=303)), renewed)

    @app.get("/photos/<photo_id>")
    def image(photo_id: str) -> ResponseReturnValue:
        """The browser has no token, so the picture comes through here."""
        visitor = current()
        if visitor is None or visitor.signed_in is None:
            abort(403)
        picture = library.get_image(visitor.signed_in.access_token, photo_id)
        return Response(picture, content_type="image/svg+xml", headers={"Content-Disposition": "inline"})

    @app.post("/orders")
    def order() -> ResponseReturnValue:
        visitor = own_form()
        visitor.order = tuple(dict.fromkeys(request.form.getlist("photo")))[:50]
        return redirect(url_for("ordered" if visitor.order else "home"), code=303)

    @app.get("/orders/latest")
    def ordered() -> ResponseReturnValue:
        visitor = current()
        if visitor is None or visitor.signed_in is None:
            return redirect(url_for("home"), code=303)
        count = len(visitor.order)
        return render_template("ordered.html", visitor=visitor, count=count, price=price(count))

    @app.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        visitors.remove(own_form())
        response = app.make_response(render_template("signed_out.html"))
        response.delete_cookie(cookie, path="/", httponly=True, secure=is_https, samesite="Lax")
        return response

    @app.errorhandler(SignInRefused)
    def not_signed_in(refusal: SignInRefused) -> ResponseReturnValue:
        return render_template("refused.html", refusal=refusal, denied=refusal.error == "access_denied"), 400

    @app.errorhandler(LibraryRefused)
    def no_photos(refusal: LibraryRefused) -> ResponseReturnValue:
        return render_template("no_photos.html", refusal=refusal), 502

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        # The callback's URL holds the code: it must not travel on as a Referer.
        response.headers["Referrer-Policy"] = "no-referrer"
        if not request.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return app


def price(count: int) -> str:
    """What so many prints cost."""
    return f"€ {count * PRICE_CENTS / 100:.2f}"


def app_from_settings(settings: Mapping[str, str], **options: Any) -> Flask:
    """The application that the settings describe."""
    registration = Registration(
        issuer=settings["ISSUER"],
        client_id=settings["CLIENT_ID"],
        client_secret=settings["CLIENT_SECRET"],
        redirect_uri=f"{settings['APP_URL']}/callback",
    )
    return create_app(
        Issuer(registration, **options),
        PhotoLibrary(settings["LIBRARY_URL"], **options),
        resource=settings["LIBRARY_RESOURCE"],
        app_url=settings["APP_URL"],
    )


def main() -> None:
    """Serve on loopback, with the server that Flask brings for development."""
    parser = argparse.ArgumentParser(description="A photo printing service.")
    parser.add_argument("--port", type=int, default=8401)
    port = parser.parse_args().port
    # Its access log would hold the callback's query, and so the codes.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app_from_settings(os.environ).run(host="127.0.0.1", port=port, threaded=True)


if __name__ == "__main__":
    main()
