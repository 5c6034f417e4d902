"""/check-session: the iframe that a client's page asks whether anything changed (OpenID Connect Session Management)."""

from flask import Flask, Response, render_template

from app.web.security_headers import frame_headers
from app.web.site import Site
from app.web.static_files import check_session_script_url


def add_check_session(app: Flask, site: Site) -> None:
    """Add the route."""

    @app.get("/check-session")
    def check_session() -> Response:
        html = render_template(
            "check_session.html",
            script_url=check_session_script_url(site.base_path),
            cookie_name=site.cookies.browser_state_name,
        )
        response = Response(html, content_type="text/html; charset=utf-8")
        response.headers.update(frame_headers(issuer_is_https=site.deployment.settings.is_https))
        return response
