"""attacks.md, "Every endpoint": what a request is made of (cases 2-6)."""

import time
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from tests.actors.http import send
from tests.actors.relying_party import basic
from tests.attacks.good_conduct import (
    assert_json_error,
    assert_page,
    nothing_changes,
    post,
)
from tests.attacks.raw_http import post_form, send_raw
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORM = "application/x-www-form-urlencoded"
TOKEN_PARAMETERS = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "resource",
    "scope",
    "tokenhouse_expires_in",
    "unheard_of",
]
AUTHORIZE_PARAMETERS = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "resource",
    "response_mode",
    "acr_values",
    "ui_locales",
    "claims",
    "request",
    "unheard_of",
]
# As they stand in a query or a form.
BAD_TEXT = {
    "NUL": "a%00b",
    "line feed": "a%0ab",
    "carriage return": "a%0D%0Ab",
    "escape": "%1b%5b31m",
    "delete": "a%7f",
    "lone surrogate": "%ed%a0%80",
    "overlong slash": "%c0%af",
    "overlong NUL": "%c0%80",
    "not UTF-8": "%ff%fe",
    "beyond Unicode": "%f4%90%80%80",
    "half a character": "%e2%82",
    "half an escape": "a%0",
    "no escape": "a%zz",
}


# ----- 2 and 3: text that is none, and values that are empty -----


@pytest.mark.parametrize("bad", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_bad_bytes_in_any_parameter_of_a_token_request_are_refused(world: World, bad: str) -> None:
    """Case 2: IR, and the code of the request is not spent."""
    account, party = world.operator.add_user(), world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = world.get_code(party, account)
    good = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": pending.code_verifier,
        "client_id": party.client_id,
        "client_secret": party.client_secret or "",
    }
    with nothing_changes(world):
        for name in TOKEN_PARAMETERS:
            rest = urlencode({other: value for other, value in good.items() if other != name})
            reply = post(world, "/token", headers={"Content-Type": FORM}, body=f"{rest}&{name}={bad}".encode())
            assert_json_error(reply, "invalid_request")
        reply = post(world, "/token", headers={"Content-Type": FORM}, body=f"{urlencode(good)}&{bad}=1".encode())
        assert_json_error(reply, "invalid_request")
    party.exchange(code, pending)


@pytest.mark.parametrize("bad", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_bad_bytes_in_any_parameter_of_an_authorization_request_end_on_a_page(world: World, bad: str) -> None:
    """Case 2: P, by GET and by POST: nothing of a request that cannot be read is believed, its client neither."""
    party = world.relying_party()
    good = party.begin().parameters
    with nothing_changes(world):
        for name in AUTHORIZE_PARAMETERS:
            rest = urlencode({other: value for other, value in good.items() if other != name})
            query = f"{rest}&{name}={bad}"
            assert_page(send(f"{world.url}/authorize?{query}"))
            assert_page(post(world, "/authorize", headers={"Content-Type": FORM}, body=query.encode()))


def test_a_refused_request_with_a_NUL_in_it_is_still_audited(world: World) -> None:
    """Case 2: PostgreSQL has no NUL in text; a row that cannot be written would take its whole batch with it."""
    replies = [send(f"{world.url}/authorize?client_id={bad}") for bad in ("%00", "%ff", "a%00b&client_id=c")]
    replies.append(send(f"{world.url}/token", method="POST", headers={"Content-Type": FORM}, body=b"client_id=%00"))
    incidents = {reply.text.rpartition('data-incident="')[2][:8] for reply in replies[:3]}
    incidents.add(replies[3].json()["error_description"][-9:-1])
    deadline = time.monotonic() + 15
    missing = incidents
    while missing and time.monotonic() < deadline:
        missing = incidents - _audited_incidents(world)
    assert not missing


@pytest.mark.parametrize("method", ["GET", "POST"])
@on_sqlite
def test_empty_and_unknown_parameters_are_passed_over(world: World, method: str) -> None:
    """Case 3."""
    account, party, browser = world.operator.add_user(), world.relying_party(), world.browser()
    empty = dict.fromkeys(
        ["prompt", "max_age", "resource", "response_mode", "request", "login_hint", "tokenhouse_expires_in"], ""
    )
    pending = party.begin(**empty, extra="ignored", authorization="none", q="")
    if method == "GET":
        page = browser.get(pending.url)
    else:
        page = browser.post(f"{world.issuer}/authorize", list(pending.parameters.items()))
    page = browser.log_in(page, account.username, account.password)
    code = party.read_callback(browser.consent(page), pending)
    tokens = party.exchange(code, pending, resource="", scope="", extra="ignored", assertion="")
    assert tokens.claims["sub"] == account.sub


@pytest.mark.parametrize("name", ["client_id", "response_type", "scope", "code_challenge"])
@on_sqlite
def test_an_empty_required_parameter_is_a_missing_one(world: World, name: str) -> None:
    """Case 3, the other way round: empty is not a value."""
    party = world.relying_party()
    reply = send(world.url + party.begin(**{name: ""}).url.removeprefix(world.issuer))
    if name == "client_id":
        assert_page(reply)
        return
    assert party.read_answer(reply)["error"] == ("invalid_scope" if name == "scope" else "invalid_request")


# ----- 4 and 5: where parameters may stand -----


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data; boundary=b",
        "text/plain",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=utf-8; boundary=b",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencodedx",
    ],
)
@pytest.mark.parametrize("path", ["/token", "/userinfo", "/authorize"])
@on_sqlite
def test_a_body_of_another_content_type_is_not_read(world: World, path: str, content_type: str | None) -> None:
    """Case 4: IR (P at /authorize), and the code in it is not spent."""
    account, party = world.operator.add_user(), world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = world.get_code(party, account)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": pending.code_verifier,
        "client_id": party.client_id,
        "client_secret": party.client_secret or "",
    }
    headers = {} if content_type is None else {"Content-Type": content_type}
    with nothing_changes(world):
        reply = post(world, path, headers=headers, body=urlencode(form).encode())
    if path == "/authorize":
        assert_page(reply)
    else:
        assert_json_error(reply, "invalid_request")
    party.exchange(code, pending)


@on_sqlite
def test_userinfo_by_post_needs_no_body_and_so_no_content_type(world: World) -> None:
    """Case 4, the good neighbour: the token in the header (OpenID Connect Core 5.3.1)."""
    account, party = world.operator.add_user(), world.relying_party()
    token = world.get_tokens(party, account).access_token
    reply = post(world, "/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert reply.json()["sub"] == account.sub


@pytest.mark.parametrize("where", ["secret", "secret and id", "everything"])
@on_sqlite
def test_a_client_secret_in_the_query_is_not_honoured_and_not_logged(world: World, where: str) -> None:
    """Case 5: IC, NC."""
    account, party = world.operator.add_user(), world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = world.get_code(party, account)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": pending.code_verifier,
        "client_id": party.client_id,
        "client_secret": party.client_secret or "",
    }
    moved = {"secret": ["client_secret"], "secret and id": ["client_secret", "client_id"], "everything": list(form)}
    query = urlencode({name: form.pop(name) for name in moved[where]})
    with nothing_changes(world):
        reply = post(world, f"/token?{query}", form=form or {"unknown": "x"})
    if where == "everything":
        assert_json_error(reply, "invalid_request")
    else:
        assert_json_error(reply, "invalid_client", 401)
    assert (party.client_secret or "") not in world.server.log_text()
    assert code not in world.server.log_text()
    party.exchange(code, pending)


@on_sqlite
def test_an_access_token_in_the_query_is_not_honoured_and_not_logged(world: World) -> None:
    """Case 5, at userinfo: RFC 6750 2.3 is not offered."""
    account, party = world.operator.add_user(), world.relying_party()
    token = world.get_tokens(party, account).access_token
    reply = send(f"{world.url}/userinfo?access_token={token}")
    assert_json_error(reply, "invalid_token", 401)
    assert token not in world.server.log_text()


@on_sqlite
def test_a_good_token_request_ignores_what_stands_in_its_query(world: World) -> None:
    """Case 5: body and query never mix."""
    account, party = world.operator.add_user(), world.relying_party()
    code, pending = world.get_code(party, account)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": pending.code_verifier,
    }
    query = urlencode({"client_id": "other", "client_secret": "other", "code": "other", "grant_type": "password"})
    authorization = basic(party.client_id, party.client_secret or "")
    reply = post(world, f"/token?{query}", headers={"Authorization": authorization}, form=form)
    assert reply.status == 200


# ----- 6: odd spellings of a path -----


@pytest.mark.parametrize(
    "path",
    ["//token", "/token/", "/./token", "/x/../token", "/%74oken", "/token;x=1", "/TOKEN", "/token%00", "/token%2f",
     "/authorize/../token", "/admin/..;/token", "/token%20", "/token?", "/token/.", "\\token", "/%2ftoken"],
)  # fmt: skip
@on_sqlite
def test_another_spelling_of_the_token_path_never_has_a_weaker_policy(world: World, path: str) -> None:
    """Case 6: the same checks, or 404; no code is spent without the client's secret."""
    account, party = world.operator.add_user(), world.relying_party(token_endpoint_auth_method="client_secret_post")
    code, pending = world.get_code(party, account)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": party.redirect_uri,
        "code_verifier": pending.code_verifier,
        "client_id": party.client_id,
    }
    body = urlencode(form).encode()
    with nothing_changes(world):
        answer = send_raw(world, post_form(path, body, headers=b"Content-Length: %d\r\n" % len(body)))
    assert answer.status in (400, 401, 404, 405)
    assert b"access_token" not in answer.received
    assert b"\r\nlocation:" not in answer.received.lower()


@pytest.mark.parametrize("path", ["/login/", "/consent/", "//login", "/%6cogin", "/LOGIN", "/login;a=b", "/./login"])
@on_sqlite
def test_another_spelling_of_a_page_shows_nothing_without_its_transaction(world: World, path: str) -> None:
    """Case 6."""
    page = world.browser().get(world.relying_party().begin().url)
    transaction = page.text.partition('name="transaction" value="')[2].partition('"')[0]
    reply = send(f"{world.url}{path}?transaction={transaction}")
    assert reply.status in (400, 404)
    assert "csrf_token" not in reply.text


@pytest.mark.parametrize("path", ["/metrics/", "//metrics", "/%6detrics", "/METRICS", "/metrics;a", "/./metrics"])
@on_sqlite
def test_another_spelling_of_a_path_that_is_guarded_opens_nothing(world: World, path: str) -> None:
    """Case 6: the one that is the same path after decoding is the same handler."""
    reply = send(world.url + path)
    assert reply.status == (200 if path == "/%6detrics" else 404)


def _audited_incidents(world: World) -> set[str]:
    with world.operator.deployment.database.reading() as connection:
        return set(connection.execute(text("SELECT incident FROM audit_events")).scalars())
