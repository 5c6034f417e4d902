"""A provider of the tests' own: right in every word unless it is told to be wrong in one. Plain http on loopback."""

import json
import secrets
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.actors.signing_key import SigningKey, jwk_set
from tests.clock import MovableClock

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Wrong:
    """What it does otherwise. In the mappings a value of `...` takes a member out."""

    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)
    """Parameters of the authorization response."""
    bodies: dict[str, bytes] = field(default_factory=dict)
    """What lies at a path instead."""
    statuses: dict[str, int] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] | None = None
    """How the ID token is made instead."""
    hangs: frozenset[str] = frozenset()
    """Where nobody is answered before the test is over."""
    resets: frozenset[str] = frozenset()


class MisbehavingProvider:
    """For `with`. `asked` counts requests by path."""

    def __init__(self, clock: MovableClock, tls: ssl.SSLContext | None = None) -> None:
        self.clock = clock
        self.key = SigningKey("ES256")
        self.published: tuple[SigningKey, ...] = (self.key,)
        self.wrong = Wrong()
        self.asked: Counter[str] = Counter()
        self.subject = secrets.token_hex(8)
        self.client_id = "our-server"
        self.nonces: dict[str, str] = {}
        self.over = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, posted: bytes = b"") -> None:
                path = urlsplit(self.path).path
                provider.asked[path] += 1
                if path in provider.wrong.hangs:
                    provider.over.wait(30)
                if path in provider.wrong.resets:
                    self.connection.close()
                    return
                body = provider.wrong.bodies.get(path)
                if body is None:
                    body = json.dumps(provider.document_at(path, posted)).encode()
                status = provider.wrong.statuses.get(path, 200)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"{provider.issuer}/elsewhere")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Whoever went away in the middle is the test's doing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.issuer = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def document_at(self, path: str, posted: bytes) -> Any:
        """What lies at a path."""
        if path == "/.well-known/openid-configuration":
            return self.metadata()
        if path == "/jwks":
            return jwk_set(*self.published)
        if path == "/token":
            code = parse_qs(posted.decode())["code"][0]
            return {"access_token": "access", "token_type": "Bearer", "id_token": self.id_token(self.nonces[code])}
        if path == "/userinfo":
            return _changed({"sub": self.subject, **self.profile()}, self.wrong.userinfo)
        return {}

    def profile(self) -> dict[str, Any]:
        """What userinfo says beside `sub`."""
        return {"email": f"{self.subject}@example.com", "email_verified": True, "name": "Ada"}

    def metadata(self) -> dict[str, Any]:
        """Its discovery document."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        return _changed(document, self.wrong.metadata)

    def claims(self, nonce: str) -> dict[str, Any]:
        """The ID token's claims."""
        now_s = self.clock() // 1000
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.client_id,
            "exp": now_s + 300,
            "iat": now_s,
            "auth_time": now_s,
            "nonce": nonce,
            "sid": "session-1",
        }
        return _changed(claims, self.wrong.claims)

    def id_token(self, nonce: str) -> str:
        """A fresh ID token."""
        if self.wrong.sign is not None:
            return self.wrong.sign(self.claims(nonce))
        return self.key.sign(self.claims(nonce), header=self.wrong.header)

    def logout_token(
        self, *, header: dict[str, Any] | None = None, key: SigningKey | None = None, **changes: Any
    ) -> str:
        """A fresh logout token with changes."""
        now_s = self.clock() // 1000
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "sub": self.subject,
            "sid": "session-1",
            "iat": now_s,
            "exp": now_s + 120,
            "jti": secrets.token_hex(8),
            "events": {LOGOUT_EVENT: {}},
        }
        return (key or self.key).sign(_changed(claims, changes), header={"typ": "logout+jwt", **(header or {})})

    def authorize(self, url: str) -> str:
        """A person signs in there: the URL of the way back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = secrets.token_urlsafe(8)
        self.nonces[code] = asked.get("nonce", "")
        response = _changed({"code": code, "state": asked["state"], "iss": self.issuer}, self.wrong.response)
        return f"{asked['redirect_uri']}?{urlencode(response)}"


def _changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**document, **changes}
    return {name: value for name, value in merged.items() if value is not ...}
