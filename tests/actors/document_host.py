"""A host on the web at which applications publish documents: whatever lies at a path is answered, and counted."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What lies at a path."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class DocumentHost:
    """A server over TLS on 127.0.0.1, for `with`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.wait: threading.Event | None = None
        """Nobody is answered before it is set."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked[self.path] += 1
                if host.wait is not None:
                    host.wait.wait(20)
                answer = host.answers.get(self.path, Answer(status=404))
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_arguments: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.wait is not None:
            self.wait.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"https://127.0.0.1:{self.port}{path}"

    def publish(self, path: str, *, headers: Mapping[str, str] | None = None, **changes: Any) -> str:
        """A client metadata document at the path, with `changes` (None leaves a member out); its client_id."""
        document = {
            "client_id": self.url(path),
            "client_name": "Agent",
            "redirect_uris": ["https://agent.example/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            **changes,
        }
        document = {name: value for name, value in document.items() if value is not None}
        self.answers[path] = Answer(
            body=json.dumps(document).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        return self.url(path)
