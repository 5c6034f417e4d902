"""The one place that answers a client at its redirect URI: codes and refusals, in whichever response mode it asked for.

RFC 6749 4.1.2 with `iss` (RFC 9207), in the query, the fragment, or a form that the browser posts (OAuth 2.0 Form Post
Response Mode). The redirect URI was compared with the registered ones before anything comes here.
"""

import secrets
from collections.abc import Mapping

from flask import Response, request

from app.services.advance_authorization import Code
from app.services.authorization_request import ResponseTarget
from app.services.browser_state import get_browser_state, make_session_state
from app.services.refusals import public_description, record_refusal
from app.services.validate_authorization_request import RedirectedError
from app.specs.rfc6749_oauth import build_redirect
from app.specs.rfc8252_redirects import display_host
from app.web.pages import FormPostPage, render_form_post
from app.web.site import Site
from app.web.static_files import form_post_script_url


def send_code(site: Site, step: Code) -> Response:
    """The authorization response (RFC 6749 4.1.2), with `session_state` for who may ask the check-session iframe."""
    parameters = {"code": step.code}
    if "session_management" not in site.deployment.settings.feature_names:
        return _answer(site, step.request.target, parameters)
    browser_state = get_browser_state(site.deployment, step.session)
    session_state = make_session_state(step.request, browser_state)
    if session_state is not None:
        parameters["session_state"] = session_state
    response = _answer(site, step.request.target, parameters)
    if session_state is not None:
        site.cookies.keep_browser_state(request, response, browser_state)
    return response


def send_error(site: Site, refusal: RedirectedError, *, address: str, where: str) -> Response:
    """The error response (RFC 6749 4.1.2.1), recorded under the incident code that stands in it."""
    target = refusal.target
    incident = record_refusal(site.deployment, refusal.error, where=where, address=address, client_id=target.client_id)
    parameters = {"error": refusal.error.error, "error_description": public_description(refusal.error, incident)}
    return _answer(site, target, parameters)


def _answer(site: Site, target: ResponseTarget, parameters: Mapping[str, str]) -> Response:
    # Nothing but what the specifications name may stand beside these: error_uri and session_state.
    answer = dict(parameters)
    if target.state is not None:
        answer["state"] = target.state
    answer["iss"] = site.deployment.issuer
    if target.response_mode == "form_post":
        return _form_post(site, target.redirect_uri, answer)
    return site.redirect(build_redirect(target.redirect_uri, answer, response_mode=target.response_mode))


def _form_post(site: Site, redirect_uri: str, answer: Mapping[str, str]) -> Response:
    nonce = secrets.token_urlsafe(18)
    page = FormPostPage(
        action=redirect_uri,
        host=display_host(redirect_uri),
        fields=tuple(answer.items()),
        script_url=form_post_script_url(site.base_path),
        script_nonce=nonce,
    )
    response = site.page(render_form_post(page), has_form=True, leads_to_client=True, script_nonce=nonce)
    # The client sees which server posts (Origin, and Referer without path and query); under the policy of other forms
    # the browser would send `Origin: null`, which a client cannot tell from a forgery.
    response.headers["Referrer-Policy"] = "strict-origin"
    return response
