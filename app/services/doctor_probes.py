"""The doctor from outside: what a running server answers through its public URL, proxy and all.

Whether spoofed headers are stripped is proven end to end: a request that lies about where it comes from is refused, and
the audit trail then shows which address the server believed.
"""

import re
import secrets
import time
from collections.abc import Iterator
from typing import Final

from app.services.deployment import Deployment, DeploymentError, open_deployment
from app.services.doctor_connection import probe_connection
from app.services.findings import Finding, error, ok, warning
from app.services.list_audit import list_audit
from app.services.probe_server import ProbeAnswer, ProbeFailed, ServerProbe
from app.settings import Settings
from app.specs.rfc8414_metadata import well_known_paths

# Documentation addresses (RFC 5737): nobody has them.
_SPOOFED_ADDRESSES: Final = ("192.0.2.77", "198.51.100.77", "203.0.113.77", "192.0.2.78")
_SPOOFED: Final = {
    "X-Forwarded-For": _SPOOFED_ADDRESSES[0],
    "X-Real-IP": _SPOOFED_ADDRESSES[1],
    "Forwarded": f"for={_SPOOFED_ADDRESSES[2]};proto=http;host=spoofed.example",
    # WSGI gives this the same name as the proxy's own header, and some proxies let it pass.
    "X_Forwarded_For": _SPOOFED_ADDRESSES[3],
    "X-Forwarded-Host": "spoofed.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/spoofed",
    "SSL-Client-Cert": "spoofed",
    "X-SSL-Client-Cert": "spoofed",
    "X-Client-Cert": "spoofed",
    "X-Forwarded-Client-Cert": "By=spoofed",
    "Client-Cert": ":c3Bvb2ZlZA==:",
}
_INCIDENT = re.compile(r"\[([0-9A-Z]{8})\]$")
# Refusals of strangers are written in batches.
_PATIENCE_S: Final = 8


def probe(settings: Settings, url: str | None = None) -> tuple[Finding, ...]:
    """Every finding about the server that answers at `url`, or else at the issuer.

    That nobody answers is wrong where a URL was given, and otherwise only to be known.
    """
    with ServerProbe(url or settings.issuer, ca_bundle=settings.outbound_ca_bundle) as server:
        try:
            metadata = tuple(_probe_metadata(settings, server))
            if any(finding.status == "error" for finding in metadata):
                # Another server answers: nothing else that it says concerns this deployment.
                return metadata
            return (
                *metadata,
                *probe_connection(settings, server),
                _probe_keys(server),
                *_probe_headers(server),
                *_probe_spoofing(settings, server),
            )
        except ProbeFailed as problem:
            not_there = warning if url is None else error
            return (not_there("server", f"it does not answer: {problem}"),)


def _probe_metadata(settings: Settings, server: ServerProbe) -> Iterator[Finding]:
    answer = server.get("/.well-known/openid-configuration")
    document = answer.json_object()
    if answer.status != 200 or not document:
        yield error("metadata", f"{server.url}/.well-known/openid-configuration answers {answer.status}")
        return
    if document.get("issuer") != settings.issuer:
        yield error(
            "metadata", f"it names the issuer {document.get('issuer')!r}; this deployment is {settings.issuer!r}"
        )
        return
    if "max-age" not in answer.headers.get("cache-control", "") or "etag" not in answer.headers:
        yield error("metadata", "it comes without max-age or ETag: something on the way takes them off")
    # RFC 8414 puts the well-known part before the issuer's path: this is asked from the origin.
    with ServerProbe(server.url.removesuffix(settings.issuer_path), ca_bundle=settings.outbound_ca_bundle) as origin:
        missing = [path for path in well_known_paths(settings.issuer) if origin.get(path).status != 200]
    if missing:
        yield warning("metadata", f"not served at {', '.join(missing)}: the proxy must hand these paths on as well")
    else:
        yield ok("metadata", f"{settings.issuer} is served, at every well-known location")


def _probe_keys(server: ServerProbe) -> Finding:
    answer = server.get("/jwks")
    keys = answer.json_object().get("keys", [])
    if answer.status != 200 or not keys:
        return error("key set", f"{server.url}/jwks answers {answer.status} with {len(keys)} keys")
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    if any(private.intersection(key) for key in keys):
        return error("key set", "it holds private members: revoke every key at once")
    return ok("key set", f"{len(keys)} public keys, kept for {answer.headers.get('cache-control', 'an unknown time')}")


def _probe_headers(server: ServerProbe) -> Iterator[Finding]:
    token = server.post("/token", "grant_type=authorization_code")
    if "no-store" not in token.headers.get("cache-control", ""):
        yield error("cache headers", "/token answers without Cache-Control: no-store: something may keep tokens")
    else:
        yield ok("cache headers", "/token says no-store")
    page = server.get("/authorize?client_id=doctor-asks")
    absent = [
        name
        for name, part in (
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", ""),
            ("cache-control", "no-store"),
        )
        if part not in page.headers.get(name, "" if part else "-") or name not in page.headers
    ]
    if absent:
        yield error("page headers", f"an error page comes without {', '.join(absent)}: something takes them off")
    else:
        yield ok("page headers", "pages carry their security headers")


# ----- Spoofed headers -----


def _probe_spoofing(settings: Settings, server: ServerProbe) -> Iterator[Finding]:
    changed = [
        path
        for path in ("/.well-known/openid-configuration", "/authorize?client_id=doctor-asks", "/metrics")
        if not _same(path, server.get(path), server.get(path, headers=_SPOOFED))
    ]
    if changed:
        yield error("spoofed headers", f"they change the answer of {', '.join(changed)}")
    else:
        yield ok(
            "spoofed headers", "no answer changes with forwarded or client-certificate headers that a caller sends"
        )
    try:
        deployment = open_deployment(settings, pool_size=2)
    except DeploymentError as problem:
        yield warning("caller's address", f"which one the server believes cannot be read: {problem}")
        return
    try:
        yield _probe_address(deployment, server)
    finally:
        deployment.close()


def _same(path: str, honest: ProbeAnswer, spoofed: ProbeAnswer) -> bool:
    # Counters move and incident codes differ; the status tells whether the caller was believed to be somebody else.
    compares_body = path.startswith("/.well-known/")
    return honest.status == spoofed.status and (not compares_body or honest.body == spoofed.body)


def _probe_address(deployment: Deployment, server: ServerProbe) -> Finding:
    check = "caller's address"
    name = f"doctor-{secrets.token_hex(8)}"
    form = f"grant_type=authorization_code&code=x&client_id={name}"
    answer = server.post("/token", form, headers=_SPOOFED)
    description = str(answer.json_object().get("error_description", ""))
    match = _INCIDENT.search(description)
    if match is None:
        return warning(check, f"the refusal ({answer.status}) has no incident code to look up: is this our server?")
    believed = _find_believed_address(deployment, match[1])
    if believed is None:
        return warning(check, "the refusal is not in this database's audit trail: is this the server of this database?")
    if believed in _SPOOFED_ADDRESSES:
        return error(
            check,
            f"the server believed a caller that claimed to be {believed}: the proxy must set X-Forwarded-For to the "
            "address it sees, not add to what the caller sent, and pass on no header with underscores in its name",
        )
    return ok(check, f"the server saw {believed}, whatever the caller claimed")


def _find_believed_address(deployment: Deployment, incident: str) -> str | None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for event in list_audit(deployment, limit=1, incident=incident, with_personal=True):
            return event.personal.get("address")
        time.sleep(0.1)
    return None
