"""The line in front of the password: who waits, who is worked at, and who is sent away."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest

from app.web.login_line import LoginLine
from tests.patience import wait_until

Answered = tuple[str, dict[str, str], bytes]


class Pages:
    """What stands behind the line: every login takes as long as the test wants."""

    def __init__(self) -> None:
        self.at_work = 0
        self.most_at_work = 0
        self.done = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.done.wait(30)
        with self._lock:
            self.at_work -= 1
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]


class SlowBody:
    """A body of which nothing comes until the test lets it."""

    def __init__(self) -> None:
        self.is_asked, self.comes = threading.Event(), threading.Event()

    def read(self, size: int) -> bytes:
        self.is_asked.set()
        assert self.comes.wait(30)
        return b"late"[:size]


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def line(pages: Pages) -> LoginLine:
    return LoginLine(pages, at_work=2, waiting=6, render=lambda sentence: f"<p>{sentence}</p>", issuer_is_https=True)


def post(line: LoginLine, address: str, body: Any = None, *, language: str = "en") -> Answered:
    """The status, the headers and the body of a login."""
    started: list[tuple[str, dict[str, str]]] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/login",
        "REMOTE_ADDR": address,
        "CONTENT_LENGTH": "4",
        "HTTP_ACCEPT_LANGUAGE": language,
        "wsgi.input": body or BytesIO(b"form"),
    }
    answer = line(environ, lambda status, headers: started.append((status, dict(headers))))
    return *started[0], b"".join(answer)


def come(pool: ThreadPoolExecutor, line: LoginLine, count: int) -> list[Future[Answered]]:
    """So many people, each from elsewhere."""
    return [pool.submit(post, line, f"192.0.2.{number}") for number in range(count)]


def test_as_many_are_worked_at_as_there_are_hashes_and_the_others_have_their_turn(
    line: LoginLine, pages: Pages
) -> None:
    with ThreadPoolExecutor(8) as pool:
        logins = come(pool, line, 8)
        wait_until(lambda: pages.at_work == 2)
        pages.done.set()
        answers = [login.result(30) for login in logins]
    assert [(status, body) for status, _, body in answers] == [("200 OK", b"form")] * 8
    assert pages.most_at_work == 2


def test_who_finds_the_line_full_reads_a_page_in_their_language_and_when_to_come_back(
    line: LoginLine, pages: Pages
) -> None:
    pages.done.set()
    bodies = [SlowBody() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for number, slow in enumerate(bodies):
            pool.submit(post, line, f"192.0.2.{number}", slow)
        assert all(slow.is_asked.wait(30) for slow in bodies)
        status, headers, body = post(line, "198.51.100.1", language="de")
        for slow in bodies:
            slow.comes.set()
    assert status == "503 Service Unavailable"
    assert 1 <= int(headers["Retry-After"]) <= 4
    assert headers["Cache-Control"] == "no-store"
    assert "Gerade melden sich sehr viele an." in body.decode()


def test_one_address_has_a_quarter_of_the_line(line: LoginLine, pages: Pages) -> None:
    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(post, line, "192.0.2.1") for _ in range(2)]
        wait_until(lambda: pages.at_work == 2)
        assert post(line, "192.0.2.1")[0] == "429 Too Many Requests"
        pages.done.set()
        assert [login.result(30)[0] for login in first] == ["200 OK", "200 OK"]


def test_a_body_that_comes_slowly_keeps_nobody_waiting(line: LoginLine, pages: Pages) -> None:
    pages.done.set()
    bodies = [SlowBody(), SlowBody()]
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(post, line, f"192.0.2.{number}", body) for number, body in enumerate(bodies)]
        assert all(body.is_asked.wait(30) for body in bodies)
        assert post(line, "198.51.100.1")[0] == "200 OK"
        for body in bodies:
            body.comes.set()
        assert [login.result(30)[2] for login in slow] == [b"late", b"late"]
