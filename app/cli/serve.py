"""`tokenhouse serve`: what must stand before the server's parts are imported.

prometheus_client decides at its import whether the counters of several processes are added up, from the environment. So
this module imports nothing of the server, and `supervise`, on this very floor, only when the command runs.
"""

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

_METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8400, show_default=True)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="How many processes serve.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="The certificate chain, where no proxy ends TLS.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key.")
def command(host: str, port: int, workers: int, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Run the server until SIGTERM; it then answers what it has begun, for at most 30 seconds."""
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    made_directory = _share_metrics() if workers > 1 else None
    try:
        supervise: Any = importlib.import_module("app.cli.supervise")
        status = supervise.serve(host=host, port=port, workers=workers, tls_cert=tls_cert, tls_key=tls_key)
    finally:
        if made_directory is not None:
            shutil.rmtree(made_directory, ignore_errors=True)
    raise SystemExit(status)


def _share_metrics() -> str | None:
    """Give the workers a directory for their counters, unless the operator did; the directory that was made."""
    if _METRICS_DIRECTORY in os.environ:
        return None
    directory = tempfile.mkdtemp(prefix="tokenhouse-metrics-")
    os.environ[_METRICS_DIRECTORY] = directory
    return directory
