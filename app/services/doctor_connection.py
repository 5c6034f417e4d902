"""The doctor on the way between people and the running server: certificate, clock and cookies."""

import base64
import datetime
import email.utils
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from app.services.client_registry import BrokenClient, Client, read_client
from app.services.findings import Finding, error, ok, warning
from app.services.probe_server import ServerProbe
from app.settings import Settings
from app.specs.rfc7636_pkce import derive_code_challenge
from app.storage.clients import list_clients
from app.storage.database import Database, DatabaseUnavailable

_CONNECT_S: Final = 5
_RENEW_WITHIN_DAYS: Final = 14
_DAY_S: Final = 86_400
_CLOCK_WARNING_S: Final = 5
_CLOCK_ERROR_S: Final = 30


def probe_connection(settings: Settings, server: ServerProbe) -> Iterator[Finding]:
    """Findings about how the server is reached. Raises `ProbeFailed`."""
    if server.url.startswith("https://"):
        yield from examine_tls(server.url, ca_bundle=settings.outbound_ca_bundle, now_s=time.time())
    yield _probe_clock(server)
    yield _probe_cookies(settings, server)


# ----- TLS -----


def examine_tls(url: str, *, ca_bundle: Path | None, now_s: float) -> Iterator[Finding]:
    """The certificate's remaining time, and the newest version of TLS that both sides speak."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    try:
        with (
            socket.create_connection((host, port), timeout=_CONNECT_S) as connection,
            context.wrap_socket(connection, server_hostname=host) as tls,
        ):
            certificate, version = tls.getpeercert() or {}, tls.version()
    except (OSError, ValueError) as problem:
        yield error("certificate", f"{host}:{port} cannot be reached over TLS: {problem}")
        return
    ends_s = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends_s - now_s) // _DAY_S)
    until = datetime.datetime.fromtimestamp(ends_s, datetime.UTC).date().isoformat()
    if days < _RENEW_WITHIN_DAYS:
        yield warning("certificate", f"it ends on {until}, in {days} days: is nothing there that renews it?")
    else:
        yield ok("certificate", f"it counts until {until}")
    if version != "TLSv1.3":
        yield warning("TLS", f"the newest version that is spoken is {version}")
    else:
        yield ok("TLS", "version 1.3 is spoken")


# ----- Clock -----


def _probe_clock(server: ServerProbe) -> Finding:
    answer = server.get("/livez")
    try:
        theirs_s = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return warning("server's clock", "the answer has no Date that can be read")
    apart_s = abs(theirs_s - time.time())
    sentence = f"it is {apart_s:.0f} s from this machine's"
    if apart_s > _CLOCK_ERROR_S:
        return error("server's clock", f"{sentence}: tokens begin and end at wrong times for everybody else")
    if apart_s > _CLOCK_WARNING_S:
        return warning("server's clock", sentence)
    return ok("server's clock", "it agrees with this machine's")


# ----- Cookies -----


def _probe_cookies(settings: Settings, server: ServerProbe) -> Finding:
    """A sign-in is begun, as any application would, to see what arrives of the cookie that belongs to it."""
    client = _find_client(settings)
    if client is None:
        return ok("cookies", "not looked at: no application is registered that people log in to")
    answer = server.get(f"/authorize?{_request_of(client)}")
    cookie = answer.headers.get("set-cookie", "")
    if not cookie:
        return warning("cookies", f"a sign-in was answered with {answer.status} and no cookie")
    absent = _absent_attributes(cookie, is_secure=settings.is_https)
    if absent:
        return error("cookies", f"they arrive without {', '.join(absent)}: something on the way takes them off")
    return ok("cookies", "they arrive as the server sets them")


def _find_client(settings: Settings) -> Client | None:
    try:
        database = Database(settings.database_url.get_secret_value(), pool_size=1)
    except DatabaseUnavailable:
        return None
    try:
        with database.reading() as connection:
            rows = list_clients(connection)
    except DatabaseUnavailable:
        return None
    finally:
        database.dispose()
    for row in rows:
        try:
            client = read_client(row)
        except BrokenClient:
            continue
        metadata = client.metadata
        if metadata.redirect_uris and not client.is_disabled and not metadata.require_signed_request_object:
            return client
    return None


def _request_of(client: Client) -> str:
    verifier = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return urlencode(
        {
            "client_id": client.client_id,
            "response_type": "code",
            "redirect_uri": client.metadata.redirect_uris[0],
            "scope": "openid",
            "code_challenge": derive_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
    )


def _absent_attributes(cookie: str, *, is_secure: bool) -> list[str]:
    name, *attributes = (part.strip() for part in cookie.split(";"))
    present = {attribute.lower() for attribute in attributes}
    wanted = ["HttpOnly", "SameSite=Lax", "Path=/", *(["Secure"] if is_secure else [])]
    absent = [attribute for attribute in wanted if attribute.lower() not in present]
    return [*absent, *(["the prefix __Host-"] if is_secure and not name.startswith("__Host-") else [])]
