"""The supervisor of `tokenhouse serve` around an application that a test can hold: `PORT WORKERS GATE`.

/livez answers; /environ shows what a request carries; /hold answers when the file GATE exists; /stuck never does.
"""

import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from app.cli.supervise import Listening, run

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def build(gate: Path) -> Application:
    """The application of one worker."""
    pause = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in ("/hold", "/stuck"):
            gate.with_suffix(".reached").touch()
        while path == "/stuck" or (path == "/hold" and not gate.exists()):
            pause.wait(0.05)
        start_response("200 OK", [("Content-Type", "application/json")])
        strings = {name: value for name, value in environ.items() if isinstance(value, str)}
        return [json.dumps({"environ": strings, "process": dict(os.environ)}).encode()]

    return application


def main() -> None:
    """Serve."""
    port, workers, gate = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    listening = Listening(host="127.0.0.1", port=port, workers=workers, threads=8, tls_cert=None, tls_key=None)
    raise SystemExit(run(listening, functools.partial(build, gate)))


if __name__ == "__main__":
    main()
