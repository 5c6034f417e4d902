"""The page at the issuer's root, the static files, and the clients' logos."""

from flask import Flask, Response, request

from app.services.client_logo import MAX_SIGN_IN_LOGO_BYTES
from app.specs.rfc8414_metadata import endpoint_url
from app.web.errors import NotFound
from app.web.pages import HomePage, render_home
from app.web.site import Site
from app.web.static_files import find_static_file

# The bytes are somebody else's: shown as an image and nothing more, whatever they turn out to be.
_LOGO_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_home(app: Flask, site: Site) -> None:
    """Add the routes."""

    @app.get("/")
    def home() -> Response:
        page = HomePage(
            issuer=site.deployment.issuer,
            server_name=site.deployment.settings.server_name,
            metadata_uri=endpoint_url(site.deployment.issuer, "/.well-known/openid-configuration"),
        )
        return site.page(render_home(page))

    @app.get("/client-logo/<path:client_id>")
    def client_logo(client_id: str) -> Response:
        """The logo that a client registered, from our own origin: no browser of a person meets the client's host.

        For a page of a sign-in only a small one; where there is none, the page shows the letter in its place.
        """
        client = site.deployment.registry.find_readable_client(client_id)
        logo = None
        if client is not None and not client.is_disabled:
            logo = site.logos.find_client_logo(client.client_id, client.metadata.logo_uri)
        is_for_sign_in = request.args.get("at") == "sign-in"
        if logo is None or (is_for_sign_in and len(logo.body) > MAX_SIGN_IN_LOGO_BYTES):
            return Response(
                b"", status=404, content_type="image/png", headers={**_LOGO_HEADERS, "Cache-Control": "no-store"}
            )
        response = Response(logo.body, content_type=logo.content_type)
        response.headers.update(_LOGO_HEADERS)
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        found = find_static_file(name) or _find_look(site, name)
        if found is None:
            raise NotFound("there is no such file")
        body, headers = found
        response = Response(body)
        response.headers.update(headers)
        return response


def _find_look(site: Site, name: str) -> tuple[bytes, dict[str, str]] | None:
    """The stylesheet or the logo of the server's look, or of that of the client that the query names."""
    client_id, appearance = request.args.get("client"), None
    if client_id is not None:
        client = site.deployment.registry.find_readable_client(client_id)
        if client is None:
            return None
        appearance = client.metadata.policy.appearance
    return site.looks.find_logo(name, appearance) or site.looks.find_theme(name, appearance)
