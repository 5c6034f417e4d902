"""What the views have in common: the strict reading of a request, the headers of a page, the way back to a client."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, request

from app.services.authorization_request import AuthorizationRequest
from app.services.client_documents import ClientDocuments
from app.services.client_logo import ClientLogos
from app.services.client_registry import Client
from app.services.deployment import Deployment
from app.services.limit_requests import RequestLimits
from app.services.whereabouts import Whereabouts
from app.specs.client_id_metadata_document import document_host
from app.specs.protocol_error import InvalidRequest
from app.specs.rfc8252_redirects import display_host, redirect_kind
from app.specs.strict_request import REPEATABLE, Parameters, check_form_content_type, parse_parameters, read_body
from app.web.cookies import Cookies
from app.web.language import current
from app.web.look import Looks
from app.web.pages import ClientCard
from app.web.security_headers import page_headers


class ForgedForm(InvalidRequest):
    """The form does not come from our own page in this browser."""

    status = 403


class NotYet(Exception):
    """What was asked for has to wait for something else, to which `response` leads, or which it shows."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class _Redirect(Response):
    """Its headers leave as they were set: Werkzeug would take the location apart and put it together anew.

    Where it leads is one of our own URLs or comes from `build_redirect`, so it is ASCII and whole already.
    """

    def __call__(self, _environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(self.status, list(self.headers))
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every view works with."""

    deployment: Deployment
    limits: RequestLimits
    logos: ClientLogos
    documents: ClientDocuments
    cookies: Cookies
    base_path: str
    looks: Looks

    def url(self, path: str) -> str:
        """An absolute URL of ours, from the issuer and never from a header."""
        return f"{self.deployment.issuer}{path}"

    def page(
        self,
        html: str,
        *,
        status: int = 200,
        has_form: bool = False,
        leads_to_client: bool = False,
        script_nonce: str | None = None,
        frame_origins: tuple[str, ...] = (),
    ) -> Response:
        """A page with its headers."""
        response = Response(html, status=status, content_type="text/html; charset=utf-8")
        response.headers.update(
            page_headers(
                has_form=has_form,
                leads_to_client=leads_to_client,
                issuer_is_https=self.deployment.settings.is_https,
                script_nonce=script_nonce,
                frame_origins=frame_origins,
                asks_for_passkeys=script_nonce is not None and 'data-passkey="' in html,
            )
        )
        return response

    def redirect(self, location: str) -> Response:
        """303: whatever the method was, the next one is GET (RFC 9700 4.12: a 307 would post the password on)."""
        headers = [
            ("Location", location),
            ("Content-Length", "0"),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
        ]
        return _Redirect(b"", 303, headers, content_type="text/html; charset=utf-8")

    def client_card(self, client: Client, destination: str | None = None) -> ClientCard:
        """Who asks, for the pages. `destination`: where the answer goes; otherwise what was registered first."""
        metadata = client.metadata
        leads_to = destination or next(iter(metadata.redirect_uris), f"{self.deployment.issuer}/")
        return ClientCard(
            client_id=client.client_id,
            client_name=_in_language(metadata.localized, "client_name") or client.name,
            redirect_host=display_host(leads_to),
            redirect_kind=redirect_kind(leads_to),
            # As one segment: a client_id may be a URL, with slashes and a query of its own.
            logo_url=f"{self.base_path}/client-logo/{quote(client.client_id, safe='')}" if metadata.logo_uri else None,
            client_uri=_in_language(metadata.localized, "client_uri") or metadata.client_uri,
            policy_uri=_in_language(metadata.localized, "policy_uri") or metadata.policy_uri,
            tos_uri=_in_language(metadata.localized, "tos_uri") or metadata.tos_uri,
            appearance=metadata.policy.appearance,
            document_host=document_host(client.client_id) if client.is_document else None,
            registered_itself=client.origin is not None and not client.is_document,
        )

    def find_client(self, client_id: str) -> Client | None:
        """The client that asks, fetched where it is a document on the web: for where a person begins."""
        return self.documents.find_client(client_id, address=request.environ.get("REMOTE_ADDR", ""))

    def check_own_form(self) -> None:
        """Raises `ForgedForm` when a browser says that the form is another site's; the CSRF token is another check."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != self.deployment.settings.origin:
            raise ForgedForm("the form was not sent from our own page", detail=f"Origin {origin!r:.200}")
        # Browsers that say nothing of the origin still say this (Fetch Metadata); another subdomain is another site's.
        fetch_site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if fetch_site not in ("same-origin", "none"):
            raise ForgedForm("the form was not sent from our own page", detail=f"Sec-Fetch-Site {fetch_site!r:.200}")


def _in_language(localized: Mapping[str, str], member: str) -> str | None:
    """What a client registered for the reader's language (RFC 7591 2.2), if it did."""
    tag = current().tag
    return next(
        (
            value
            for name, value in sorted(localized.items())
            if name.partition("#")[0] == member and name.partition("#")[2].lower().split("-")[0] == tag
        ),
        None,
    )


def form_status(error: str | None) -> int:
    """The status of a page with a form; `error` is the sentence for whoever filled it in and could not be obeyed.

    One rule for all forms of people. 400: the form is shown again, because what was entered in it is wrong. 404: what
    it names is not there, or not theirs; the two look the same. 403: it is not our own form, or was not made in this
    browser (`ForgedForm`). The pages of a sign-in (/login, /second-factor, /select-account, /consent) are a dialogue
    instead: a wrong proof or choice is answered 200 by the page that asks again, whoever it was that did not get in.
    """
    return 200 if error is None else 400


def find_whereabouts() -> Whereabouts:
    """From where the request comes."""
    return Whereabouts(
        address=request.environ.get("REMOTE_ADDR", ""), user_agent=request.headers.get("User-Agent", "")[:300]
    )


def read_query() -> Parameters:
    """The query's parameters, strictly. Raises `InvalidRequest`."""
    return parse_parameters(request.environ.get("QUERY_STRING", "").encode("latin-1"))


def read_form(*, repeatable: frozenset[str] = REPEATABLE) -> Parameters:
    """The body's parameters, strictly, and only those. Raises `InvalidRequest`."""
    check_form_content_type(request.environ.get("CONTENT_TYPE"))
    body = read_body(request.environ["wsgi.input"], content_length=request.environ.get("CONTENT_LENGTH"))
    return parse_parameters(body, repeatable=repeatable)


def way_back(client: Client | None, request_: AuthorizationRequest | None) -> str | None:
    """Where a person can go from a page of ours: the client's home page, else the origin of its redirect URI."""
    if client is not None and client.metadata.client_uri is not None:
        return client.metadata.client_uri
    if request_ is not None and redirect_kind(request_.redirect_uri) != "custom":
        parts = urlsplit(request_.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}/"
    return None
