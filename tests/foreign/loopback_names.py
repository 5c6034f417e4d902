"""Host names that mean this machine for the length of a `with`, without touching /etc/hosts."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any


@contextlib.contextmanager
def resolving_to_loopback(names: Sequence[str]) -> Iterator[None]:
    """Within it, `socket.getaddrinfo` answers 127.0.0.1 for `names`; TLS still checks the name itself.

    It changes the whole process, so code under test in the same process sees it too.
    """
    real = socket.getaddrinfo
    wanted = frozenset(names)

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        return real("127.0.0.1" if name in wanted else host, *arguments, **options)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = real
