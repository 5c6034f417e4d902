"""attacks.md, "Every endpoint": monstrous JSON, encoded and smuggled bodies, odd request lines (cases 13 and 15)."""

import base64
import gzip

import pytest

from tests.actors.http import send
from tests.attacks.good_conduct import assert_json_error, assert_no_store, nothing_changes, post
from tests.attacks.raw_http import post_form, send_raw
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORM = "application/x-www-form-urlencoded"
FORM_PATHS = ("/token", "/userinfo", "/authorize", "/login", "/select-account", "/consent")


@pytest.mark.parametrize(
    "header",
    ["[" * 200_000, '{"a":' * 10_000, '{"alg":"ES256","kid":%s}' % ("9" * 4301), '{"alg":"ES256","alg":"none"}',
     '{"alg":1e999}', "[]", '"x"', "null", '{"alg":"none"}', '{"kid":["a"]}', '{"kid":{"a":1},"alg":"ES256"}'],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("part", [0, 1])
@on_sqlite
def test_monstrous_json_inside_a_token_is_refused(world: World, header: str, part: int) -> None:
    """Case 13, as far as JSON is read: the parts of a bearer token."""
    encoded = base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode()
    token = ".".join([encoded, "e30", "AAAA"] if part == 0 else ["eyJhbGciOiJFUzI1NiJ9", encoded, "AAAA"])
    if len(token) > 60_000:
        reply = post(world, "/userinfo", headers={"Content-Type": FORM}, body=f"access_token={token}".encode())
        assert reply.status == 413
        return
    assert_json_error(send(f"{world.url}/userinfo", headers={"Authorization": f"Bearer {token}"}), "invalid_token", 401)


@pytest.mark.parametrize(
    "body", ["[" * 60_000, '{"a":1,"a":2}', "9" * 4301, "1e999", "[]", "null", '{"grant_type":"\\ud800"}']
)
@on_sqlite
def test_a_json_body_is_not_read_at_all(world: World, body: str) -> None:
    """Case 13."""
    reply = post(world, "/token", headers={"Content-Type": "application/json"}, body=body.encode())
    assert_json_error(reply, "invalid_request")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip", "x"])
@pytest.mark.parametrize("path", FORM_PATHS)
@on_sqlite
def test_an_encoded_body_is_refused(world: World, path: str, encoding: str) -> None:
    """Case 15."""
    body = gzip.compress(b"grant_type=authorization_code&code=x")
    reply = post(world, path, headers={"Content-Type": FORM, "Content-Encoding": encoding}, body=body)
    assert reply.status == 415
    assert_no_store(reply)


SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
    ],
)
@on_sqlite
def test_two_readings_of_where_a_body_ends_are_refused(world: World, headers: bytes) -> None:
    """Case 15: 400, and what is smuggled behind it is never a request of its own."""
    with nothing_changes(world):
        answer = send_raw(world, post_form("/token", b"0\r\n\r\n" + SMUGGLED, headers=headers))
    assert answer.statuses == [400] or answer.statuses == [413]
    assert b"alive" not in answer.received


@pytest.mark.parametrize("length", [b"Content-Length: 500\r\n", b"Content-Length: 400\r\n"])
@on_sqlite
def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(world: World, length: bytes) -> None:
    """Case 15: what narrows the request may be in the part that is missing."""
    sent = post_form("/token", b"grant_type=authorization_code&client_id=a&code=b", headers=length)
    answer = send_raw(world, sent, half_close=True)
    assert answer.statuses in ([400], [])
    assert b"invalid_client" not in answer.received


@pytest.mark.parametrize(
    "target", [b"http://evil.example/.well-known/openid-configuration", b"http://evil.example:1/token",
               b"http://user@evil.example/authorize?client_id=x", b"https://evil.example/login"],
)  # fmt: skip
@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1", b"x:y", b"a\tb", b"'\"<script>", b""])
@on_sqlite
def test_the_host_that_a_request_names_decides_nothing(world: World, target: bytes, host: bytes) -> None:
    """Case 15: RFC 9112 3.2.2 has servers accept the absolute form; its authority is never believed or repeated."""
    answer = send_raw(world, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert answer.status < 500
    assert b"evil" not in answer.received
    assert b"<script" not in answer.received


TARGETS = (b"*", b"evil", b"evil:80", b"", b"#", b"?", b"/%", b"/%zz", b"/%ff", b"/\xff", b"/\xe2\x82\xac")


@pytest.mark.parametrize(
    "method", [b"GET", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"get", b"FOO", b"G\x00T", b"PROPFIND"]
)
@on_sqlite
def test_an_odd_method_or_target_is_refused_in_peace(world: World, method: bytes) -> None:
    """Case 15: never a 5xx; a method that nobody knows is no failure of ours."""
    for target in TARGETS:
        answer = send_raw(world, method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.status < 500, target
        # By GET a target without a path is the home page's.
        assert answer.statuses == [] or answer.status >= 400 or method == b"GET", target
