"""The applications' own servers, as far as logout goes: what was posted to them, and how they answer. Over TLS."""

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]
    tls_version: str

    @property
    def logout_token(self) -> str:
        """What was posted; the one parameter of the form."""
        assert set(self.form) == {"logout_token"}, self.form
        (token,) = self.form["logout_token"]
        return token


@dataclass
class LogoutReceiver:
    """Any number of applications on one host, told apart by path. `answers` decides by path; 200 unless told otherwise.

    An answer is a status, or a function that is called first (to wait) and returns one.
    """

    tls: ssl.SSLContext
    answers: dict[str, int | Callable[[], int]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(
                    Received(
                        path=self.path,
                        headers={name.lower(): value for name, value in self.headers.items()},
                        form=parse_qs(body.decode(), keep_blank_values=True),
                        tls_version=self.connection.version(),  # type: ignore[attr-defined]
                    )
                )
                answer = receiver.answers.get(self.path, 200)
                status = answer() if callable(answer) else answer
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", receiver.url("/elsewhere"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def finish_request(self, request: Any, client_address: Any) -> None:
                request.settimeout(20)
                try:
                    secured = receiver.tls.wrap_socket(request, server_side=True)
                    super().finish_request(secured, client_address)
                    secured.close()
                except OSError:
                    pass  # whoever went away in the middle

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        """An address here."""
        return f"https://127.0.0.1:{self._server.server_address[1]}{path}"

    def hang(self) -> int:
        """An answer that does not come before the test is over."""
        self.over.wait(30)
        return 500

    def at(self, path: str) -> list[Received]:
        """What came to one application, in order."""
        return [request for request in self.received if request.path == path]
