"""What a complete offline check of an access token costs, beside others on the same token.

    .venv/bin/python benchmarks/verification.py [--json] [--seconds 2]

For ES256 and RS256, on one core, CPU time per check of a token that was never seen before:
- ours: `AccessTokenVerifier.verify` with a scope: form, size, header, key by `kid`, signature, claims, its entry in a
  status list of 2^20 tokens, scope;
- the bare check: split, base64url, both JSON parts parsed, and `cryptography`'s signature check; nothing is
  judged. The aim is that our full check costs at most 1.3 times that;
- PyJWT: `jwt.decode` with issuer, audience and required claims, its key already chosen; no status list;
- npm `jose`: `jwtVerify` with a local key set, in Node, counting the CPU of all its threads; no status list.

Then, for ES256, in microseconds:
- a token that was seen before: everything but the signature and the form of the claims, beside the bare check (aim:
  below 5 us), and the same for a whole WSGI request's headers and address, limited to networks;
- the look into the status list, which every one of these checks has, beside the seen token's check (aim: below 1 us);
- a token that is bound to a key, seen before, with a new DPoP proof at each call, beside two bare checks: a thief would
  need one of them less.

The rows beside PyJWT and jose are checks per second (more is better), the others microseconds (less is).
"""

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.specs.rfc7515_jose import PrivateKey, import_jwk_set, sign_jws
from app.specs.token_status_list import TYP, StatusReference, build_status_list_claims, status_claim
from app.verifier import AccessTokenVerifier, FetchedList, InProcessReplays, ResourceRequest, require
from benchmarks.load_generator import server_cores
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.signed_token import AUDIENCE, ISSUER, SCOPE, SignedToken, make_token
from benchmarks.timing import time_calls_us
from tests.node_runtime import find_node, node_environment, node_project
from tests.verifier.issuer import ClientKey

LIST_URI = f"{ISSUER}/status-lists/6fXq1rV0ZkM"
LIST_INDEX = 777_777
NPM_JOSE = Path(__file__).resolve().parent / "peers" / "npm_jose"


def measure(alg: str, *, seconds: float) -> list[Result]:
    token = make_token(alg, status=status_claim(LIST_URI, LIST_INDEX))
    progress(f"verifying {alg}: ours, the bare check, PyJWT")
    in_python = time_calls_us(
        {"ours": our_check(token), "bare": bare_check(token), "pyjwt": pyjwt_check(token)},
        seconds=seconds,
        clock=time.process_time,
    )
    progress(f"verifying {alg}: npm jose")
    npm_jose_us = npm_jose_check_us(token, seconds=seconds)
    ours_per_s = 1e6 / in_python["ours"]
    return [
        Result(
            name=f"{alg}: full check beside the bare signature check and parsing",
            ours=in_python["ours"],
            peer=in_python["bare"],
            unit="us",
        ),
        Result(
            name=f"{alg}: full check beside PyJWT",
            ours=ours_per_s,
            peer=1e6 / in_python["pyjwt"],
            unit="checks/s",
        ),
        Result(name=f"{alg}: full check beside npm jose", ours=ours_per_s, peer=1e6 / npm_jose_us, unit="checks/s"),
    ]


def measure_seen_tokens(*, seconds: float) -> list[Result]:
    progress("tokens that were seen before, and the look into the status list")
    client = ClientKey()
    plain, limited, bound = (
        make_token("ES256", status=status_claim(LIST_URI, LIST_INDEX), **claims)
        for claims in ({}, {"th_networks": ["10.0.0.0/8", "2001:db8::/32"]}, {"cnf": {"jkt": client.jkt}})
    )
    bare = bare_check(plain)
    spent = time_calls_us(
        {
            "seen": seen_check(plain),
            "request": request_check(limited),
            "status": status_check(plain),
            "bound": bound_check(bound, client),
            "bare": bare,
        },
        seconds=seconds,
        clock=time.process_time,
    )
    return [
        Result(
            name="ES256: a token seen before, beside the bare check (aim: below 5 us)",
            ours=spent["seen"],
            peer=spent["bare"],
            unit="us",
        ),
        Result(
            name="ES256: a request with a token seen before, limited to networks, beside the bare check",
            ours=spent["request"],
            peer=spent["bare"],
            unit="us",
        ),
        Result(
            name="the look into a cached status list, beside a seen token's whole check (aim: below 1 us)",
            ours=spent["status"],
            peer=spent["seen"],
            unit="us",
        ),
        Result(
            name="ES256: a request with a bound token seen before and a new DPoP proof, beside two bare checks",
            ours=spent["bound"],
            peer=2 * spent["bare"],
            unit="us",
        ),
    ]


def make_verifier(token: SignedToken, **options: Any) -> AccessTokenVerifier:
    return AccessTokenVerifier(
        issuer=ISSUER, audience=AUDIENCE, keys=token.jwks, status_list_source=OneList(token.key), **options
    )


def warmed(check: Callable[[], object]) -> Callable[[], object]:
    """The first check fetches the status list, which is not what is measured."""
    check()
    return check


def our_check(token: SignedToken) -> Callable[[], object]:
    """Each call finds a token that is not remembered, and remembers it."""
    verifier, requirement = make_verifier(token, seen_tokens=1), require(SCOPE.split(" ")[0])
    tokens = itertools.cycle((token.access_token, token.twin))
    return warmed(lambda: verifier.verify(next(tokens), requirement=requirement))


def seen_check(token: SignedToken) -> Callable[[], object]:
    verifier, requirement = make_verifier(token), require(SCOPE.split(" ")[0])
    return warmed(lambda: verifier.verify(token.access_token, requirement=requirement))


def request_check(token: SignedToken) -> Callable[[], object]:
    verifier, requirement = make_verifier(token), require(SCOPE.split(" ")[0])

    def check() -> object:
        request = ResourceRequest(authorization=f"Bearer {token.access_token}", path="/photos/1", peer="10.1.2.3")
        return verifier.verify_request(request, requirement)

    return warmed(check)


def status_check(token: SignedToken) -> Callable[[], object]:
    verifier = make_verifier(token)
    claims = verifier.verify(token.access_token)
    lists, now_s = verifier._status_lists, time.time()
    assert lists is not None
    reference, expires_at_s = StatusReference(uri=LIST_URI, index=LIST_INDEX), claims.expires_at_s
    return lambda: lists.check(reference, token_expires_at_s=expires_at_s, now_s=now_s, wait=True)


def bound_check(token: SignedToken, client: ClientKey) -> Callable[[], object]:
    """The proof is the same at each call, and its memory takes it for a new one: signing is the client's cost."""
    verifier = make_verifier(token, replays=Forgetful())
    proof = client.prove(token.access_token, url=f"{AUDIENCE}/photos/1", now_s=time.time() + 5)
    request = ResourceRequest(authorization=f"DPoP {token.access_token}", dpop=proof, path="/photos/1")
    requirement = require(SCOPE.split(" ")[0])
    return warmed(lambda: verifier.verify_request(request, requirement))


class Forgetful(InProcessReplays):
    """Remembers as ever, under a number of its own."""

    def __init__(self) -> None:
        super().__init__(monotonic=time.monotonic, max_proofs_per_window=10**9)
        self._numbers = itertools.count()

    def add(self, replay_key: bytes) -> bool:
        assert len(replay_key) == 32
        return super().add(next(self._numbers).to_bytes(32, "big"))


class OneList:
    """A status list of 2^20 tokens, none of them revoked, without a network."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList:  # noqa: ARG002 - the protocol's signature
        now_s = int(time.time())
        claims = build_status_list_claims(
            uri=uri, issued_at_s=now_s, expires_at_s=now_s + 600, ttl_s=5, statuses=bytes(2**17)
        )
        signed = sign_jws({"typ": TYP}, json.dumps(claims).encode(), self._key, self._key.alg)
        return FetchedList(unverified_list=signed)

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's signature
        return ()


def bare_check(token: SignedToken) -> Callable[[], object]:
    """The least that a check can do: it believes whatever the claims say."""
    kid = jwt.get_unverified_header(token.access_token)["kid"]
    key = next(key.native for key in import_jwk_set(token.jwks) if key.kid == kid)
    sha256, pkcs1, ecdsa = hashes.SHA256(), padding.PKCS1v15(), ec.ECDSA(hashes.SHA256())

    def check() -> object:
        signing_input, _, signature_part = token.access_token.encode("ascii").rpartition(b".")
        header_part, _, payload_part = signing_input.partition(b".")
        signature = base64.urlsafe_b64decode(signature_part + b"==")
        header = json.loads(base64.urlsafe_b64decode(header_part + b"=="))
        if header["alg"] == "ES256":
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), signing_input, ecdsa)
        else:
            key.verify(signature, signing_input, pkcs1, sha256)
        return json.loads(base64.urlsafe_b64decode(payload_part + b"=="))

    return check


def pyjwt_check(token: SignedToken) -> Callable[[], object]:
    kid = jwt.get_unverified_header(token.access_token)["kid"]
    key = jwt.PyJWKSet.from_dict(token.jwks)[kid]

    def check() -> object:
        return jwt.decode(
            token.access_token,
            key,
            algorithms=[token.alg],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
        )

    return check


def npm_jose_check_us(token: SignedToken, *, seconds: float) -> float:
    project = node_project(NPM_JOSE)
    checks_per_batch = 500
    settings = {
        "access_token": token.access_token,
        "jwks": token.jwks,
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "alg": token.alg,
        "checks_per_batch": checks_per_batch,
        # About 150 us per check: the time asked for, in whole batches.
        "batches": max(3, round(seconds * 1e6 / 150 / checks_per_batch)),
    }
    answer = subprocess.run(
        [str(find_node()), str(project / "verify.js")],
        env={**node_environment(), "PEER_CONFIG": json.dumps(settings)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    us_per_check: float = json.loads(answer.stdout)["us_per_check"]
    return us_per_check


def main() -> None:
    arguments = parse_arguments(__doc__ or "", seconds=2.0)
    # Node inherits it: all contestants run on the same single core.
    os.sched_setaffinity(0, server_cores())
    results = [result for alg in ("ES256", "RS256") for result in measure(alg, seconds=arguments.seconds)]
    results += measure_seen_tokens(seconds=arguments.seconds)
    print_results("Offline verification of one access token", results, as_json=arguments.json)


if __name__ == "__main__":
    main()
