"""The host of clients' key sets: what it publishes now, how often it was asked, and how it can fail. Over TLS."""

import json
import socket
import ssl
import threading
from typing import Self

from tests.actors.signing_key import SigningKey, jwk_set
from tests.services.other_host import OtherHost, answer


class KeyHost:
    """Publishes keys under every path."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._host = OtherHost(tls=tls)
        self._released = threading.Event()

    def __enter__(self) -> Self:
        self._host.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._host.__exit__(None, None, None)

    @property
    def times_asked(self) -> int:
        """How often anybody asked."""
        return len(self._host.requests)

    def url(self, path: str = "/jwks") -> str:
        """An address here."""
        return self._host.url(path, host="127.0.0.1")

    def publish(self, *keys: SigningKey) -> None:
        """From now on, these."""
        self._host.behaviour = answer(
            "Content-Type: application/jwk-set+json", body=json.dumps(jwk_set(*keys)).encode()
        )

    def fail(self) -> None:
        """From now on, an error."""
        self._host.behaviour = answer(status="503 Broken")

    def hang(self) -> None:
        """From now on no answer, for as long as anybody waits."""

        def behave(_connection: socket.socket, over: threading.Event) -> None:
            while not over.is_set() and not self._released.wait(0.2):
                pass

        self._host.behaviour = behave

    def wait_until_asked(self) -> None:
        """The next request has come."""
        assert self._host.arrived.acquire(timeout=30)
