"""What a complete offline check of an access token costs, beside others on the same token.

    .venv/bin/python benchmarks/verification.py [--json] [--seconds 2]

For ES256 and RS256, on one core, CPU time per check:
- ours: `AccessTokenVerifier.verify` with a scope (form, size, header, key by `kid`, signature, claims, scope);
- the bare check: split, base64url, both JSON parts parsed, and `cryptography`'s signature check; nothing is
  judged. The aim is that our full check costs at most 1.5 times that;
- PyJWT: `jwt.decode` with issuer, audience and required claims, its key already chosen;
- npm `jose`: `jwtVerify` with a local key set, in Node, counting the CPU of all its threads.

The two in other rows are compared as checks per second (more is better), the bare check as microseconds (less is).
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.specs.rfc7515_jose import import_jwk_set
from app.verifier import AccessTokenVerifier
from benchmarks.load_generator import server_cores
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.signed_token import AUDIENCE, ISSUER, SCOPE, SignedToken, make_token
from benchmarks.timing import time_calls_us
from tests.node_runtime import find_node, node_environment, node_project

NPM_JOSE = Path(__file__).resolve().parent / "peers" / "npm_jose"


def measure(alg: str, *, seconds: float) -> list[Result]:
    token = make_token(alg)
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


def our_check(token: SignedToken) -> Callable[[], object]:
    verifier = AccessTokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=token.jwks)
    required_scope = SCOPE.split(" ")[0]
    return lambda: verifier.verify(token.access_token, scope=required_scope)


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
    print_results("Offline verification of one access token", results, as_json=arguments.json)


if __name__ == "__main__":
    main()
