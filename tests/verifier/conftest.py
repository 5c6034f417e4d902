from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from app.verifier import AccessTokenVerifier
from tests.verifier.issuer import API, IssuerServer, MovableClock, SigningKey


class MakeVerifier(Protocol):
    def __call__(self, issuer: str, **options: Any) -> AccessTokenVerifier: ...


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey()


@pytest.fixture(scope="session")
def next_key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def server(key: SigningKey) -> Iterator[IssuerServer]:
    with IssuerServer(key) as running:
        yield running


@pytest.fixture
def make_verifier(clock: MovableClock) -> MakeVerifier:
    def make(issuer: str, **options: Any) -> AccessTokenVerifier:
        return AccessTokenVerifier(
            issuer=issuer,
            **{"audience": API, "clock": clock, "monotonic": clock, "timeout_s": 5, "background": False, **options},
        )

    return make
