"""Writes docs/verifier-vectors.json anew: `.venv/bin/python -m docs.make_verifier_vectors`, in the checkout.

What the verifier answers is what it answered when this ran: docs/verifier.md says what the members mean. Keys, times
and identifiers are fixed, and signatures are deterministic (RFC 6979), so that nothing changes unless the verifier
does.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from app.specs.protocol_error import ProtocolError
from app.specs.rfc7515_jose import encode_base64url, thumbprint
from app.specs.rfc9396_authorization_details import (
    is_subset,
    parse_authorization_details_list,
    parse_member_orders,
)
from app.specs.rfc9449_dpop import normalise_htu
from app.specs.token_status_list import build_status_list_claims
from app.specs.tokenhouse_networks import is_within, parse_address, parse_networks
from app.verifier import AccessTokenVerifier, FetchedList, ResourceRequest
from tests.verifier.forgeries import FORGERIES, NOW_S, REVOKED_INDEX, TRUSTED_PROXIES, VIEW, Bench
from tests.verifier.issuer import API, ClientKey, SigningKey, make_statuses

TARGET: Final = Path(__file__).with_name("verifier-vectors.json")
ISSUER: Final = "https://login.example.com"
LIST_URI: Final = f"{ISSUER}/status-lists/one"
# Sixteen kilobytes of filler tell another language nothing.
LEFT_OUT: Final = frozenset({"too long"})

ORDERS: Final = {"path": "prefix", "actions": "set", "amount": {"value": "max"}}
GRANTED: Final = {
    "type": "files",
    "path": "/photos/2024",
    "actions": ["read", "write"],
    "amount": {"currency": "EUR", "value": "100"},
}
WANTED: Final[tuple[dict[str, Any], ...]] = (
    GRANTED,
    {**GRANTED, "path": "/photos/2024/may", "actions": ["read"], "amount": {"currency": "EUR", "value": "99.50"}},
    {**GRANTED, "type": "folders"},
    {**GRANTED, "path": "/photos/20245"},
    {**GRANTED, "path": "/photos/2024/../2023"},
    {**GRANTED, "path": "/photos"},
    {**GRANTED, "actions": ["read", "delete"]},
    {**GRANTED, "actions": []},
    {**GRANTED, "amount": {"currency": "EUR", "value": "100.01"}},
    {**GRANTED, "amount": {"currency": "KWD", "value": "1"}},
    {**GRANTED, "amount": {"currency": "EUR", "value": 1}},
    {name: value for name, value in GRANTED.items() if name != "path"},
    {**GRANTED, "express": True},
)
HTU: Final = (
    "https://api.example.com/photos/1",
    "HTTPS://API.Example.COM:443/photos/1?size=2#top",
    "https://api.example.com/%70hotos/1",
    "https://api.example.com/a/../photos/./1",
    "https://api.example.com",
    "http://api.example.com:80/",
    "https://api.example.com:8443/photos%2f1",
    "https://[2001:DB8::1]/x",
)
NETWORKS: Final = ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108")
ADDRESSES: Final = (
    *("10.255.255.255", "11.0.0.0", "192.0.2.7", "192.0.2.8", "172.31.0.1", "172.32.0.1"),
    *("::ffff:10.0.0.1", "::10.0.0.1", "2001:db8::1", "2001:db9::1"),
)


class Lists:
    """The one list of the issuer."""

    def __init__(self, lists: dict[str, str]) -> None:
        self._lists = lists

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList:  # noqa: ARG002 - the protocol's signature
        return FetchedList(unverified_list=self._lists[uri])

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's signature
        return tuple(self._lists)


def make_verifier(document: dict[str, Any]) -> AccessTokenVerifier:
    """A verifier that knows what the document says, and nothing else."""
    return AccessTokenVerifier(
        issuer=document["issuer"],
        audience=document["audience"],
        keys=document["jwks"],
        status_list_source=Lists(document["status_lists"]),
        require_status=True,
        trusted_proxies=document["trusted_proxies"],
        background=False,
        clock=lambda: document["now"],
    )


def make_document() -> dict[str, Any]:
    """All vectors, as they are written."""
    key = SigningKey(private_jwk=fixed_jwk(1))
    bench = Bench(
        issuer=ISSUER,
        list_uri=LIST_URI,
        key=key,
        stranger=SigningKey(private_jwk=fixed_jwk(2)),
        client=ClientKey(private_jwk=fixed_jwk(3)),
        thief=ClientKey(private_jwk=fixed_jwk(4)),
    )
    status_list = build_status_list_claims(
        uri=LIST_URI,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + 600,
        ttl_s=5,
        statuses=make_statuses(REVOKED_INDEX),
    )
    document: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": API,
        "now": NOW_S,
        "leeway": 10,
        "jwks": {"keys": [key.public_jwk]},
        "status_lists": {LIST_URI: bench.sign({"typ": "statuslist+jwt"}, json.dumps(status_list).encode())},
        "trusted_proxies": TRUSTED_PROXIES,
        "view": {
            "scope": list(VIEW.scope),
            "authorization_details_types": list(VIEW.detail_types),
            "acr_values": list(VIEW.acr_values),
            "max_age": VIEW.max_age_s,
        },
    }
    document["requests"] = list(make_requests(bench, make_verifier(document)))
    document["htu_normal_forms"] = [{"url": url, "normal": normalise_htu(url)} for url in HTU]
    networks = parse_networks(NETWORKS)
    document["networks"] = {
        "networks": list(NETWORKS),
        "addresses": [{"address": text, "within": is_within(parse_address(text), networks)} for text in ADDRESSES],
    }
    orders = {"files": parse_member_orders(ORDERS), "folders": parse_member_orders(ORDERS)}
    granted = parse_authorization_details_list([GRANTED])
    document["authorization_details"] = {
        "orders": ORDERS,
        "granted": GRANTED,
        "requested": [
            {"detail": wanted, "no_wider": is_subset(parse_authorization_details_list([wanted]), granted, orders)}
            for wanted in WANTED
        ],
    }
    return document


def make_requests(bench: Bench, verifier: AccessTokenVerifier) -> Iterator[dict[str, Any]]:
    """The good request first, then every forgery, each with the verifier's answer."""
    yield describe("the request that passes", bench.request(bench.token()), verifier)
    for name, (forge, _, _) in FORGERIES.items():
        if name not in LEFT_OUT:
            yield describe(name, forge(bench), verifier)


def describe(name: str, request: ResourceRequest, verifier: AccessTokenVerifier) -> dict[str, Any]:
    headers = {"Authorization": request.authorization, "DPoP": request.dpop, "X-Forwarded-For": request.forwarded_for}
    return {
        "name": name,
        "method": request.method,
        "url": f"https://api.example.com{request.path}",
        "peer": request.peer,
        "headers": {header: value for header, value in headers.items() if value},
        **judge(request, verifier),
    }


def judge(request: ResourceRequest, verifier: AccessTokenVerifier) -> dict[str, Any]:
    """The verdict, and for a refusal the code and the sentence that the verifier gives."""
    try:
        verifier.verify_request(request, VIEW)
    except ProtocolError as error:
        return {"verdict": "refused", "error": error.error, "error_description": error.description}
    return {"verdict": "accepted"}


def read_request(vector: dict[str, Any]) -> ResourceRequest:
    """The request of a vector."""
    headers = vector["headers"]
    return ResourceRequest(
        authorization=headers.get("Authorization"),
        dpop=headers.get("DPoP"),
        forwarded_for=headers.get("X-Forwarded-For", ""),
        method=vector["method"],
        path=vector["url"].removeprefix("https://api.example.com"),
        peer=vector["peer"],
    )


def fixed_jwk(number: int) -> dict[str, str]:
    """The private key that everybody knows: the number itself. Its public half is good for vectors and nothing else."""
    numbers = ec.derive_private_key(number, ec.SECP256R1()).private_numbers()
    values = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
    jwk = {"kty": "EC", "crv": "P-256"}
    jwk |= {name: encode_base64url(value.to_bytes(32, "big")) for name, value in values.items()}
    return {**jwk, "kid": thumbprint(jwk), "use": "sig", "alg": "ES256"}


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make_document(), indent=1) + "\n")
