"""An issuer as a verifier sees it: keys, tokens, and a real HTTP server on loopback that can fail in every way."""

import hashlib
import json
import secrets
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.specs.rfc7515_jose import (
    PrivateKey,
    encode_base64url,
    generate_private_jwk,
    import_private_jwk,
    public_members,
    sign_jws,
    thumbprint,
)
from app.specs.rfc9068_access_token import build_claims
from app.specs.token_status_list import build_status_list_claims
from app.verifier.renewed_copy import THREAD_NAME

API = "https://api.example.com/photos"
# What challenges name beside the realm.
METADATA = 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/photos"'
ALGS = 'algs="ES256 RS256 PS256 EdDSA Ed25519"'
START_S = 1_800_000_000.0


class MovableClock:
    """Stands for the wall clock and for the monotonic one."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class SigningKey:
    """A key of an issuer, and the tokens that it signs."""

    def __init__(self, alg: str = "ES256", *, private_jwk: dict[str, str] | None = None) -> None:
        self.private_jwk = private_jwk or generate_private_jwk(alg)
        self.public_jwk = public_members(self.private_jwk)
        self.kid: str = self.public_jwk["kid"]
        self.key: PrivateKey = import_private_jwk(self.private_jwk, is_our_own=True)

    def sign(self, claims: Mapping[str, Any], *, typ: str = "at+jwt") -> str:
        return sign_jws({"typ": typ}, json.dumps(claims).encode(), self.key, self.key.alg)


def make_claims(issuer: str, *, now_s: float = START_S, **changes: Any) -> dict[str, Any]:
    """A valid claims set, changed; a value of `...` takes the claim out."""
    claims = build_claims(
        issuer=issuer,
        subject="alice",
        audience=API,
        client_id="printer",
        scope="photos.read",
        issued_at_s=int(now_s),
        expires_at_s=int(now_s) + 300,
        jti="id-1",
    )
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


class ClientKey:
    """A client's own key, and the DPoP proofs that it makes."""

    def __init__(self, *, private_jwk: dict[str, str] | None = None) -> None:
        jwk = private_jwk or generate_private_jwk("ES256")
        self.public_jwk = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        self.jkt = thumbprint(self.public_jwk)
        self._key = import_private_jwk(jwk, is_our_own=True)

    def prove(
        self,
        token: str,
        *,
        url: str,
        method: str = "GET",
        now_s: float = START_S,
        typ: str = "dpop+jwt",
        **changes: Any,
    ) -> str:
        """A valid proof, changed; a value of `...` takes the claim out."""
        claims = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(now_s),
            "ath": encode_base64url(hashlib.sha256(token.encode()).digest()),
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not ...}
        header = {"typ": typ, "alg": "ES256", "jwk": self.public_jwk}
        signing_input = ".".join(encode_base64url(json.dumps(part).encode()) for part in (header, kept))
        return f"{signing_input}.{sign_es256(self._key, signing_input)}"


def sign_es256(key: PrivateKey, signing_input: str) -> str:
    """A signature that holds, over what sign_jws would not write; the same for the same input (RFC 6979)."""
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.native.sign(signing_input.encode(), algorithm))
    return encode_base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def make_statuses(*revoked: int, size: int = 1024) -> bytes:
    """A list of one bit per token, in which these are set."""
    statuses = bytearray(size // 8)
    for index in revoked:
        statuses[index >> 3] |= 1 << (index & 7)
    return bytes(statuses)


Answer = Callable[[BaseHTTPRequestHandler], None]


def answer_bytes(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def answer_json(document: Any, *, headers: Mapping[str, str] | None = None) -> Answer:
    return answer_bytes(json.dumps(document).encode(), headers=headers)


def answer_with_etag(body: bytes) -> Answer:
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("If-None-Match") == etag:
            handler.send_response(304)
            handler.end_headers()
            return
        answer_bytes(body, headers={"ETag": etag, "Content-Type": "application/statuslist+jwt"})(handler)

    return answer


class IssuerServer:
    """Serves metadata at one well-known path, and a JWK Set; counts requests by path. `with` starts and ends it.

    `answers` may be replaced path by path while the server runs. After `stop()` the port refuses connections, and
    `start()` takes the same port again.
    """

    def __init__(
        self,
        *keys: SigningKey,
        path: str = "",
        metadata_path: str = "{path}/.well-known/openid-configuration",
        jwks_headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._path = path
        self._metadata_path = metadata_path.format(path=path.rstrip("/"))
        self._jwks_headers = jwks_headers
        self._keys = keys
        self._port = 0
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, Answer] = {}
        # What an answer may wait for, so that a fetch stays in flight; let go at the end in any case.
        self.gate = threading.Event()

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def issuer(self) -> str:
        return self.origin + self._path

    @property
    def jwks_uri(self) -> str:
        return f"{self.origin}/keys"

    @property
    def jwks_requests(self) -> int:
        return self.requests["/keys"]

    def publish(self, *keys: SigningKey) -> None:
        self._keys = keys
        self.answers["/keys"] = answer_json({"keys": [key.public_jwk for key in keys]}, headers=self._jwks_headers)

    def list_uri(self, name: str = "one") -> str:
        return f"{self.issuer.rstrip('/')}/status-lists/{name}"

    def publish_list(
        self,
        *revoked: int,
        name: str = "one",
        now_s: float = START_S,
        key: SigningKey | None = None,
        typ: str = "statuslist+jwt",
        **changes: Any,
    ) -> None:
        """A status list of 1,024 tokens in which these are revoked, true from now for 600 s, with an ETag."""
        claims = {
            **build_status_list_claims(
                uri=self.list_uri(name),
                issued_at_s=int(now_s),
                expires_at_s=int(now_s) + 600,
                ttl_s=5,
                statuses=make_statuses(*revoked),
            ),
            **changes,
        }
        kept = {claim: value for claim, value in claims.items() if value is not ...}
        body = (key or self._keys[0]).sign(kept, typ=typ).encode()
        self.answers[urlsplit(self.list_uri(name)).path] = answer_with_etag(body)

    def list_requests(self, name: str = "one") -> int:
        return self.requests[urlsplit(self.list_uri(name)).path]

    def answer_after_the_gate_opens(self) -> None:
        """The key set's answers wait for `gate`."""
        normal = self.answers["/keys"]

        def answer(handler: BaseHTTPRequestHandler) -> None:
            self.gate.wait(30)
            normal(handler)

        self.answers["/keys"] = answer

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests[self.path] += 1
                outer.answers.get(self.path, answer_bytes(b"not here", status=404))(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that breaks off is what some tests are about; anything else is worth its traceback.
                if not isinstance(sys.exception(), OSError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        if self._tls:
            # The handshake is the handler's, so that a client that breaks it off does not end the server.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        if not self.answers:
            self.answers[self._metadata_path] = answer_json({"issuer": self.issuer, "jwks_uri": self.jwks_uri})
            self.publish(*self._keys)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        self.stop()


def wait_for_background_fetches() -> None:
    """Returns when no verifier of this process has a fetch in flight."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()
