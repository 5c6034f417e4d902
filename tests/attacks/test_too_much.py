"""attacks.md, "Every endpoint": too large, too many, too slow to read (cases 1 and 14)."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.actors.http import send
from tests.attacks.good_conduct import assert_json_error, nothing_changes, post
from tests.attacks.raw_http import post_form, send_raw
from tests.databases import on_sqlite
from tests.world import World

pytestmark = pytest.mark.usefixtures("standing")

FORM = "application/x-www-form-urlencoded"
FORM_PATHS = ("/token", "/userinfo", "/authorize", "/login", "/second-factor", "/select-account", "/consent")


def cpu_seconds(process_group: int) -> float:
    """CPU time that a process group has used, all its processes together."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == process_group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def least_cpu_seconds(world: World, send_all: Callable[[], None], *, enough: float) -> float:
    """CPU time of the server in the cheapest of five rounds, or in the first that is cheap `enough`.

    What else it does meanwhile, on a processor that others use too, is not the requests' doing.
    """
    assert world.server.process is not None
    least = float("inf")
    for _ in range(5):
        before = cpu_seconds(world.server.process.pid)
        send_all()
        least = min(least, cpu_seconds(world.server.process.pid) - before)
        if least <= enough:
            break
    return least


def resident_bytes(process_group: int) -> int:
    """Resident memory of a process group."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == process_group:
            pages += int(fields[21])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("size", [65_537, 1_000_000, 10_000_000])
@on_sqlite
def test_a_body_over_the_limit_is_refused(world: World, path: str, size: int) -> None:
    """Case 1."""
    head = post_form(path, b"", headers=b"Content-Length: %d\r\n" % size)
    with nothing_changes(world):
        answer = send_raw(world, head + b"a=" + b"b" * (size - 2))
    assert answer.statuses == [413]


@pytest.mark.parametrize("path", FORM_PATHS)
@on_sqlite
def test_a_body_that_streams_without_a_length_is_refused(world: World, path: str) -> None:
    """Cases 1 and 15: whatever its size, it is not read."""
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    answer = send_raw(world, post_form(path, chunk * 500 + b"0\r\n\r\n", headers=b"Transfer-Encoding: chunked\r\n"))
    assert answer.statuses == [400]


@on_sqlite
def test_a_body_at_the_limit_is_read(world: World) -> None:
    """Case 1, the good neighbour: 64 KiB are allowed."""
    reply = post(world, "/token", headers={"Content-Type": FORM}, body=b"unknown=" + b"x" * (65_536 - 8))
    assert_json_error(reply, "invalid_request")
    assert "grant_type is missing" in reply.text


@pytest.mark.parametrize("path", ["/authorize", "/token", "/userinfo", "/jwks", "/login", "/nowhere"])
@on_sqlite
def test_a_query_of_a_megabyte_is_refused(world: World, path: str) -> None:
    """Case 1."""
    answer = send_raw(world, f"GET {path}?{'a' * 1_000_000} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.status in (400, 414, 431)


@pytest.mark.parametrize("name", ["X-Anything", "Cookie", "Authorization", "User-Agent", "Accept"])
@on_sqlite
def test_a_header_of_64_kilobytes_is_refused(world: World, name: str) -> None:
    """Case 1."""
    answer = send_raw(
        world, f"GET /jwks HTTP/1.1\r\nHost: x\r\n{name}: {'a' * 65_536}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status in (400, 413, 431)


@on_sqlite
def test_too_many_headers_are_refused(world: World) -> None:
    """Case 1."""
    lines = "".join(f"X-{number}: a\r\n" for number in range(2000))
    answer = send_raw(world, f"GET /jwks HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n".encode())
    assert answer.status in (400, 413, 431)


@pytest.mark.parametrize("count", [101, 20_000, 100_000])
@on_sqlite
def test_too_many_parameters_are_refused(world: World, count: int) -> None:
    """Case 1."""
    parameters = "&".join(f"a{number}=" for number in range(count))
    if len(parameters) > 65_000:
        parameters = ("a&" * count)[:-1]
    with nothing_changes(world):
        in_body = send_raw(world, post_form("/token", parameters.encode(), headers=_length(parameters)))
        in_query = send_raw(
            world, f"GET /authorize?{parameters} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
    assert in_body.status in (400, 413)
    assert in_query.status in (400, 414, 431)


@on_sqlite
def test_refusing_what_is_too_large_costs_little_time_and_no_memory(world: World) -> None:
    """Case 1: less than 50 ms of CPU each, and resident memory stays flat."""
    assert world.server.process is not None
    group = world.server.process.pid
    requests = [
        post_form("/token", b"x" * 1_000_000, headers=b"Content-Length: 1000000\r\n"),
        post_form("/token", b"a=&" * 20_000, headers=b"Content-Length: 60000\r\n"),
        post_form("/authorize", b"a=%e2%82%ac&" * 5_000, headers=b"Content-Length: 60000\r\n"),
        b"GET /authorize?" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /authorize?" + b"a=b&" * 12_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    for sent in requests * 4:
        send_raw(world, sent)
    cpu, memory = cpu_seconds(group), resident_bytes(group)
    for sent in requests * 20:
        assert 400 <= send_raw(world, sent).status < 500
    assert (cpu_seconds(group) - cpu) / (len(requests) * 20) < 0.05
    assert resident_bytes(group) - memory < 16_000_000


HOSTILE = {
    "a@a@": "a@" * 25_000,
    "(((": "(" * 50_000,
    "%0%0": "%250" * 14_000,
    "spaces": "%20" * 18_000,
    "aaa!": "a" * 50_000 + "!",
    "dots": "a." * 25_000,
    "en-en-": "en-" * 16_000,
    "slashes": "/." * 25_000,
    "[:::": "http://[" + ":" * 50_000,
    "quotes": '"\\' * 20_000,
}


HOSTILE_PARAMETERS = (
    *("redirect_uri", "scope", "resource", "login_hint", "ui_locales"),
    *("prompt", "max_age", "code_challenge", "acr_values"),
)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
@on_sqlite
def test_a_hostile_value_is_read_in_linear_time(world: World, hostile: str) -> None:
    """Case 14: 50 KB that backtracking would never finish, in less than 20 ms of the server's CPU each."""
    good = world.relying_party().begin().parameters

    def send_all() -> None:
        for name in HOSTILE_PARAMETERS:
            rest = urlencode({other: value for other, value in good.items() if other != name})
            body = f"{rest}&{name}={hostile}".encode()
            assert post(world, "/authorize", headers={"Content-Type": FORM}, body=body).status in (303, 400), name

    assert least_cpu_seconds(world, send_all, enough=0.02 * len(HOSTILE_PARAMETERS)) <= 0.02 * len(HOSTILE_PARAMETERS)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
@on_sqlite
def test_a_hostile_header_is_read_in_linear_time(world: World, hostile: str) -> None:
    """Case 14."""
    value = hostile[:30_000]

    def send_all() -> None:
        for name in ("Cookie", "Accept", "Accept-Language", "User-Agent", "Authorization", "If-None-Match"):
            for path in ("/authorize", "/userinfo", "/jwks", "/login"):
                assert send(world.url + path, headers={name: value}).status in (200, 400, 401)

    assert least_cpu_seconds(world, send_all, enough=0.02 * 24) <= 0.02 * 24


def _length(body: str) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)
