"""The operations that are timed: authorize with single sign-on, exchange a code, both together."""

import base64
import hashlib
import http.client
import itertools
import json
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

from benchmarks.cookies import CookieJar
from benchmarks.form_browser import FormBrowser
from benchmarks.load_generator import (
    LoadError,
    Operation,
    OperationFactory,
    Response,
    form_request,
    get_request,
    run_load,
)
from benchmarks.scenario import Scenario

MOST_HOPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    issuer: str
    authorization: str
    token: str
    jwks: str
    metadata: str
    introspection: str | None = None
    userinfo: str | None = None

    @property
    def origin(self) -> str:
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"


def discover(issuer: str) -> Endpoints:
    """Reads the OpenID discovery document, as a client does."""
    parts = urlsplit(issuer)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    metadata_url = f"{issuer}/.well-known/openid-configuration"
    connection.request("GET", urlsplit(metadata_url).path)
    document = json.loads(connection.getresponse().read())
    connection.close()
    return Endpoints(
        issuer=issuer,
        authorization=document["authorization_endpoint"],
        token=document["token_endpoint"],
        jwks=document["jwks_uri"],
        metadata=metadata_url,
        introspection=document.get("introspection_endpoint"),
        userinfo=document.get("userinfo_endpoint"),
    )


class SignedInBrowsers:
    """One logged-in browser with remembered consent per connection, and the client that it talks to."""

    def __init__(
        self, endpoints: Endpoints, scenario: Scenario, *, count: int, openid: bool, for_userinfo: bool = False
    ) -> None:
        self.endpoints = endpoints
        self.scenario = scenario
        self._verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self._verifier.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": scenario.client_id,
            "redirect_uri": scenario.redirect_uri,
            "scope": f"openid {scenario.scope}" if openid else scenario.scope,
            "resource": scenario.resource,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if for_userinfo:
            # Without an API the token is for the userinfo endpoint, at both servers.
            parameters["scope"] = "openid profile email"
            del parameters["resource"]
        if openid:
            parameters["nonce"] = secrets.token_urlsafe(16)
        self._authorization_url = f"{endpoints.authorization}?{urlencode(parameters)}&state="
        self._states = itertools.count()
        self._token_headers = basic_header(scenario.client_id, scenario.client_secret)
        fixed = {
            "grant_type": "authorization_code",
            "redirect_uri": scenario.redirect_uri,
            "code_verifier": self._verifier,
            **({} if for_userinfo else {"resource": scenario.resource}),
        }
        self._token_body = urlencode(fixed) + "&code="
        self._jars = [self._log_in() for _ in range(count)]
        self._codes: list[str] = []
        self._last_token_response = b"{}"

    def authorize_and_exchange(self) -> OperationFactory:
        """Operation: a new code for a browser that is logged in and has consented, and its exchange."""

        def operation(connection: int) -> Operation:
            code = yield from self._authorize(self._jars[connection])
            yield from self._exchange(code)

        return operation

    def authorize(self) -> OperationFactory:
        """Operation: a new code, kept for `exchange`."""

        def operation(connection: int) -> Operation:
            code = yield from self._authorize(self._jars[connection])
            self._codes.append(code)

        return operation

    def exchange(self) -> OperationFactory:
        """Operation: the exchange of a code that `authorize` has kept; there must be enough of them."""

        def operation(_connection: int) -> Operation:
            yield from self._exchange(self._codes.pop())

        return operation

    def refresh_tokens(self) -> list[str]:
        """A refresh token per browser, each of a grant of its own."""
        tokens = []
        for connection in range(len(self._jars)):
            run_load(
                self.endpoints.origin,
                lambda _, connection=connection: self.authorize_and_exchange()(connection),  # type: ignore[misc]
                connections=1,
                seconds=30,
                most_operations=1,
            )
            tokens.append(self.token_response()["refresh_token"])
        return tokens

    def _log_in(self) -> CookieJar:
        browser = FormBrowser(self.endpoints.origin)
        browser.authorize(
            self._next_url(),
            redirect_uri=self.scenario.redirect_uri,
            username=self.scenario.username,
            password=self.scenario.password,
        )
        browser.close()
        return browser.cookies

    def _next_url(self) -> str:
        return f"{self._authorization_url}{next(self._states)}"

    def _authorize(self, jar: CookieJar) -> Generator[bytes, Response, str]:
        url = self._next_url()
        for _ in range(MOST_HOPS):
            cookie = jar.header(urlsplit(url).path)
            response = yield get_request(url, headers=f"Cookie: {cookie}\r\nAccept: text/html\r\n")
            jar.store(response.headers("set-cookie"))
            location = response.header("location")
            if location is None:
                raise LoadError(f"{response.status} without a redirect at {url}: {response.body[:400]!r}")
            url = urljoin(url, location)
            if url.startswith(self.scenario.redirect_uri):
                return parse_code(url)
        raise LoadError(f"more than {MOST_HOPS} redirects, the last to {url}")

    def _exchange(self, code: str) -> Operation:
        response = yield form_request(
            self.endpoints.token, self._token_body + quote(code, safe=""), headers=self._token_headers
        )
        if response.status != 200:
            raise LoadError(f"{response.status} from the token endpoint: {response.body[:400]!r}")
        self._last_token_response = response.body

    def token_response(self) -> dict[str, str]:
        """The last token response, decoded."""
        document: dict[str, str] = json.loads(self._last_token_response)
        return document


def basic_header(client_id: str, client_secret: str) -> str:
    """The line of a request's head that authenticates a client (RFC 6749 2.3.1)."""
    credentials = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
    return f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}\r\n"


def parse_code(callback_url: str) -> str:
    """The `code` of an authorization response; the driver's own, so `state` and `iss` are not checked here."""
    query = parse_qs(urlsplit(callback_url).query)
    if "code" not in query:
        raise LoadError(f"no code in {callback_url}")
    return query["code"][0]
