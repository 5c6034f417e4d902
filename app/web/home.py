"""The page at the issuer's root, the static files, and the clients' logos."""

from flask import Flask, Response

from app.specs.rfc8414_metadata import endpoint_url
from app.web.errors import NotFound
from app.web.pages import HomePage, render_home
from app.web.site import Site
from app.web.static_files import find_static_file


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

    @app.get("/static/<name>")
    def static_file(name: str) -> Response:
        found = find_static_file(name)
        if found is None:
            raise NotFound("there is no such file")
        body, headers = found
        response = Response(body)
        response.headers.update(headers)
        return response
