"""The person at the browser, for clients of others: logs in over TLS, allows, and is sent back to the client."""

from collections.abc import Mapping
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from tests.actors.browser import find_form
from tests.actors.http import Reply
from tests.deployments import Account
from tests.foreign.loopback_names import resolving_to_loopback
from tests.foreign.tls_server import APP_HOST, HOST

_TIMEOUT_S = 20
_MOST_PAGES = 12


class Person:
    """Somebody with an account and a browser that trusts the server's certificate. Call it with the URL to open."""

    def __init__(self, account: Account, *, issuer: str, ca_file: str) -> None:
        self._account = account
        self._issuer = issuer
        self._browser = requests.Session()
        self._browser.verify = ca_file
        # Neither proxies nor a .netrc of whoever runs the tests belong to this browser.
        self._browser.trust_env = False

    def __call__(self, authorization_url: str) -> str:
        """The URL, with the response, that the client is called back at; of a posted response with its form."""
        with resolving_to_loopback([HOST]):
            answer = self._open("GET", authorization_url)
            for _ in range(_MOST_PAGES):
                if answer.is_redirect:
                    url = urljoin(answer.url, answer.headers["Location"])
                    if not url.startswith(self._issuer + "/"):
                        return url
                    answer = self._open("GET", url)
                    continue
                if 'id="form-post"' in answer.text:
                    form = find_form(_reply(answer), "form-post")
                    return f"{form.action}?{urlencode(form.with_values())}"
                answer = self._fill_in(answer)
        raise AssertionError(f"the pages go round in circles, the last is {answer.url}")

    def visit(self, url: str, form: Mapping[str, str] | None = None) -> requests.Response:
        """A page of an application over TLS, with everything in between; `form` is posted, as a button does it."""
        app_host = urlsplit(url).netloc
        with resolving_to_loopback([HOST, APP_HOST]):
            answer = self._open("GET", url) if form is None else self._open("POST", url, list(form.items()))
            for _ in range(_MOST_PAGES):
                if answer.is_redirect:
                    answer = self._open("GET", urljoin(answer.url, answer.headers["Location"]))
                elif urlsplit(answer.url).netloc == app_host:
                    return answer
                else:
                    answer = self._fill_in(answer)
        raise AssertionError(f"the pages go round in circles, the last is {answer.url}")

    def _fill_in(self, page: requests.Response) -> requests.Response:
        if 'id="login-form"' in page.text:
            values = {"username": self._account.username, "password": self._account.password}
            form = find_form(_reply(page), "login-form")
        else:
            values = {"decision": "allow"}
            form = find_form(_reply(page), "consent-form")
        return self._open("POST", urljoin(page.url, form.action), form.with_values(**values))

    def _open(self, method: str, url: str, fields: list[tuple[str, str]] | None = None) -> requests.Response:
        headers = {} if fields is None else {"Origin": "{0.scheme}://{0.netloc}".format(urlsplit(url))}
        return self._browser.request(
            method, url, data=fields, headers=headers, allow_redirects=False, timeout=_TIMEOUT_S
        )


def _reply(answer: requests.Response) -> Reply:
    return Reply(answer.status_code, tuple(answer.headers.items()), answer.content)
