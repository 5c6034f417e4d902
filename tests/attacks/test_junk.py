"""A property of the whole server: junk never gives a 5xx or a stack trace, and the next good request works.

Two kinds: bytes on a socket, to every endpoint and page that the application has; and requests that are right but for
one or two generated values, so that the junk gets past the doors.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.factory import add_pages, list_documents, list_endpoints
from app.services.limit_requests import RequestLimits
from app.web.look import Looks
from tests.actors.browser import find_form
from tests.actors.http import send
from tests.actors.machine import Machine
from tests.actors.relying_party import basic
from tests.attacks.raw_http import send_raw
from tests.databases import on_sqlite
from tests.world import World

pytestmark = [
    pytest.mark.usefixtures("standing"),
    # Only a failure prints its examples, and then they are wanted whole.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

# By server: to register one for each example would cost more than the example.
_machines: dict[str, Machine] = {}

FORM = "application/x-www-form-urlencoded"
# The server is shared and real, so an example may take as long as it takes, and each test runs hundreds of them.
junk_settings = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "prompt", "max_age"),
    *("resource", "grant_type", "code", "code_verifier", "client_secret", "access_token", "transaction", "csrf_token"),
    *(
        "username",
        "password",
        "decision",
        "duration",
        "request",
        "response_mode",
        "tokenhouse_expires_in",
        "login_hint",
    ),
    *(
        "token",
        "token_type_hint",
        "code_challenge_method",
        "acr_values",
        "client_assertion",
        "client_assertion_type",
        "claims",
        "ui_locales",
    ),
)
HEADERS = (
    *("Cookie", "Authorization", "Content-Type", "Accept", "Content-Encoding", "Origin", "If-None-Match", "Referer"),
    *("X-Forwarded-For", "Forwarded", "Host", "User-Agent", "Range", "Expect", "Accept-Language", "DPoP", "TE", "Via"),
    *("Access-Control-Request-Method", "Content-Disposition", "X-HTTP-Method-Override", "Upgrade", "Trailer"),
)
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "M-SEARCH", "*")
KNOWN_VALUES = (
    *("code", "S256", "openid", "authorization_code", "none", "login", "allow", "once", "Bearer x", "Basic eDp5", "0"),
    *("text/html", "application/json", FORM, "gzip", "chunked", "*", "null", "[" * 2000, "{" * 2000, "9" * 5000),
    *("../" * 500, "%" * 1000, "{{7*7}}", "' OR 1=1 --", "\\ud800", "http://[", "a@" * 2000, "100-continue"),
)

repeated = st.text(min_size=1, max_size=3).map(lambda text: text * 300)
texts = st.one_of(st.text(max_size=60), st.sampled_from(KNOWN_VALUES), repeated)
one_or_several = st.one_of(texts, st.lists(texts, min_size=2, max_size=3))
changed = st.dictionaries(st.sampled_from(PARAMETERS), one_or_several, min_size=1, max_size=3)
blobs = st.one_of(st.binary(max_size=80), st.binary(min_size=1, max_size=4).map(lambda b: b * 2000))
# What stands in a request line or a header must not end it: the rest of the bytes may be anything.
words = blobs.map(lambda raw: raw.translate(None, b"\r\n \t"))
lines = blobs.map(lambda raw: raw.translate(None, b"\r\n"))


def encoded(text: str) -> bytes:
    """A value of a form, percent-encoded; a lone surrogate as the bytes that it would be."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()


pairs = st.tuples(st.sampled_from(PARAMETERS), texts).map(lambda pair: pair[0].encode() + b"=" + encoded(pair[1]))
forms = st.lists(st.one_of(pairs, words), max_size=12).map(b"&".join)
token_parts = st.from_regex(r"\A[A-Za-z0-9_-]{0,60}\Z")
header_lines = st.tuples(
    st.one_of(st.sampled_from(HEADERS).map(str.encode), st.from_regex(rb"\A[A-Za-z0-9_.!#$-]{1,30}\Z")),
    st.one_of(lines, st.sampled_from(KNOWN_VALUES).map(str.encode), forms),
).map(lambda pair: pair[0] + b": " + pair[1])


def list_paths(world: World) -> list[str]:
    """Every path that the application answers, from the application itself: a new one is tried without being named."""
    pages = Flask("paths", static_folder=None)
    deployment, limits = world.operator.deployment, RequestLimits(is_enabled=False)
    add_pages(pages, deployment, limits, Looks(deployment.settings.appearance, base_path=""))
    paths = {endpoint.path for endpoint in list_endpoints(deployment, limits, list_documents(deployment))}
    return sorted(paths | {str(rule) for rule in pages.url_map.iter_rules()})


def test_every_path_is_known_to_these_tests(world: World) -> None:
    """The list is the application's own, and it is not empty."""
    assert {"/token", "/userinfo", "/authorize", "/login", "/consent", "/jwks", "/metrics"} <= set(list_paths(world))


@junk_settings
@given(data=st.data())
@on_sqlite
def test_junk_on_a_socket_never_breaks_the_server(world: World, data: st.DataObject) -> None:
    """Odd methods, targets, headers, cookies, bodies and lengths, to every path."""
    path = data.draw(st.sampled_from(list_paths(world))).encode()
    path = path + data.draw(st.one_of(st.just(b""), words))
    target = data.draw(st.sampled_from([path, path + b"?" + data.draw(forms), data.draw(words)]))
    method = data.draw(st.one_of(st.sampled_from(METHODS).map(str.encode), words))
    body = data.draw(st.one_of(forms, blobs))
    head = data.draw(st.lists(header_lines, max_size=6))
    length = data.draw(st.sampled_from([len(body), len(body), len(body), len(body) + 10, 0, None]))
    if length is not None:
        head = [*head, b"Content-Length: %d" % length]
    if data.draw(st.booleans()):
        head = [*head, b"Content-Type: " + FORM.encode()]
    sent = b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: x", b"Connection: close", *head, b"", body])
    answer = send_raw(world, sent, half_close=length is not None and length > len(body))
    assert_harmless(answer.statuses, answer.received)


@junk_settings
@given(junk=st.one_of(st.binary(max_size=300), st.lists(header_lines, max_size=5).map(b"\r\n".join)))
@on_sqlite
def test_bytes_that_are_no_http_never_break_the_server(world: World, junk: bytes) -> None:
    """Not even a request line."""
    answer = send_raw(world, junk + b"\r\n\r\n", half_close=True)
    assert_harmless(answer.statuses, answer.received)


@junk_settings
@given(
    changes=changed,
    method=st.sampled_from(["GET", "POST"]),
)
def test_an_authorization_request_with_junk_in_it(world: World, changes: dict[str, Any], method: str) -> None:
    """Right but for one to three parameters; whatever comes of it, nothing leads to a stranger."""
    party = world.relying_party()
    parameters = flatten({**party.begin().parameters, **changes})
    body = b"&".join(name.encode() + b"=" + encoded(value) for name, value in parameters)
    if method == "GET":
        reply = send(f"{world.url}/authorize?{body.decode()}")
    else:
        reply = send(f"{world.url}/authorize", method="POST", headers={"Content-Type": FORM}, body=body)
    assert reply.status in (303, 400, 413, 414, 431)
    if reply.status == 303:
        assert reply.location.startswith(
            (party.redirect_uri + "?", f"{world.issuer}/login?", f"{world.issuer}/authorize/resume?")
        )


@junk_settings
@given(
    changes=changed,
    authorization=st.one_of(st.none(), texts),
)
def test_a_token_request_with_junk_in_it(world: World, changes: dict[str, Any], authorization: str | None) -> None:
    """A code that is none, and junk beside it: every answer is a refusal in JSON."""
    party = world.relying_party()
    form = {
        "grant_type": "authorization_code",
        "code": "x",
        "redirect_uri": party.redirect_uri,
        "code_verifier": "v" * 43,
    }
    body = b"&".join(name.encode() + b"=" + encoded(value) for name, value in flatten({**form, **changes}))
    header = basic(party.client_id, party.client_secret or "") if authorization is None else authorization
    clean = header.encode("utf-8", "replace").translate(None, bytes(range(32)) + b"\x7f").decode("latin-1")
    headers = {"Content-Type": FORM, "Authorization": clean}
    reply = send(f"{world.url}/token", method="POST", headers=headers, body=body)
    assert reply.status in (400, 401, 413, 431)
    assert reply.json()["error"]


@junk_settings
@given(
    changes=changed,
    path=st.sampled_from(["/token", "/introspect", "/revoke"]),
    token=st.one_of(texts, token_parts, st.builds("th_at_{}".format, token_parts), st.builds("e30.{}.x".format, texts)),
)
def test_a_machines_request_with_junk_in_it(world: World, changes: dict[str, Any], path: str, token: str) -> None:
    """Right but for one to three parameters, which may be ignored ones: an answer in JSON, or revoke's empty one."""
    if world.issuer not in _machines:
        _machines[world.issuer] = world.machine(policy={"resources": [world.operator.add_resource()]})
    machine = _machines[world.issuer]
    form = {"grant_type": "client_credentials", "scope": "photos.read", "token": token, **changes}
    body = b"&".join(name.encode() + b"=" + encoded(value) for name, value in flatten(form))
    headers = {"Content-Type": FORM, "Authorization": basic(machine.client_id, machine.client_secret or "")}
    reply = send(f"{world.url}{path}", method="POST", headers=headers, body=body)
    assert reply.status in (200, 400, 401, 413, 431)
    if reply.status != 200:
        assert reply.json()["error"]
    elif path == "/introspect":
        assert reply.json() == {"active": False}


@junk_settings
@given(data=st.data(), form_id=st.sampled_from(["login-form", "consent-form"]))
def test_a_form_of_ours_with_junk_in_it(
    world: World, open_forms: dict[str, tuple[str, list[tuple[str, str]], str]], data: st.DataObject, form_id: str
) -> None:
    """The login and the consent form of a live transaction, with everything but the password's rightness junked."""
    action, fields, cookies = open_forms[form_id]
    names = sorted({*dict(fields), "decision", "duration", "scope", "username", "password", "unheard_of"})
    changes = data.draw(st.dictionaries(st.sampled_from(names), texts, min_size=1, max_size=3))
    changes.setdefault("decision", "later")
    kept = [(name, value) for name, value in fields if name not in changes]
    if form_id == "consent-form":
        # A clear yes or no would end the transaction that the next examples need.
        changes["duration"] = "junk " + changes.get("duration", "")
        changes["decision"] = "allow"
    body = b"&".join(name.encode() + b"=" + encoded(value) for name, value in [*kept, *changes.items()])
    headers = {"Content-Type": FORM, "Cookie": cookies, "Origin": world.issuer}
    reply = send(world.url + action, method="POST", headers=headers, body=body)
    assert reply.status in (200, 400, 403, 413, 429, 431, 503)
    assert reply.status != 503 or "retry-after" in reply.headers
    assert "Traceback" not in reply.text


@junk_settings
@given(
    token=st.one_of(
        texts,
        st.lists(st.one_of(token_parts, st.just("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9")), max_size=6).map(".".join),
    ),
    scheme=st.sampled_from(["Bearer ", "bearer  ", "DPoP ", "Basic ", "", "Bearer"]),
)
def test_a_bearer_token_that_is_junk(world: World, token: str, scheme: str) -> None:
    """In the header and in the body."""
    clean = token.encode("utf-8", "replace").translate(None, bytes(range(32)) + b"\x7f").decode("latin-1")
    replies = [send(f"{world.url}/userinfo", headers={"Authorization": scheme + clean})]
    body = b"access_token=" + encoded(token)
    replies.append(send(f"{world.url}/userinfo", method="POST", headers={"Content-Type": FORM}, body=body))
    for reply in replies:
        assert reply.status in (400, 401, 413, 431)
        assert reply.status != 401 or reply.headers["www-authenticate"].startswith(("Bearer", "DPoP"))


@pytest.fixture
def open_forms(world: World) -> dict[str, tuple[str, list[tuple[str, str]], str]]:
    """By form: where it posts to, its fields, and the cookies of its browser; each of a transaction of its own."""
    forms_by_id = {}
    for form_id in ("login-form", "consent-form"):
        account, browser = world.operator.add_user(), world.browser()
        page = browser.get(world.relying_party().begin().url)
        if form_id == "consent-form":
            page = browser.log_in(page, account.username, account.password)
        form = find_form(page, form_id)
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        forms_by_id[form_id] = (form.action, form.fields, cookies)
    return forms_by_id


def flatten(parameters: dict[str, Any]) -> Sequence[tuple[str, str]]:
    """Name and value pairs, lists as repetitions."""
    return [
        (name, one) for name, value in parameters.items() for one in (value if isinstance(value, list) else [value])
    ]


def assert_harmless(statuses: Sequence[int], received: bytes) -> None:
    """No failure of ours, whatever it was; a connection closed without a word is an answer, too."""
    assert all(status < 500 for status in statuses), received[:1000]
    assert b"Traceback" not in received
    assert b"werkzeug" not in received.lower()
