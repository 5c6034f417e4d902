"""The drill of `tokenhouse keys revoke`, and verification going on while a key is rotated, as times.

    .venv/bin/python benchmarks/key_drill.py [--json] [--seconds 6]

A server and a verifier (`AccessTokenVerifier` over HTTP) run side by side, and a client logs in again and again.
- Rotation: 50 tokens a second are verified for `--seconds`, always the newest among them, and `keys rotate --now` runs
  in the middle. Printed: how many verifications failed (the aim is none) and the longest one.
- Revocation: `keys revoke KID` takes the signing key out. Printed, each counted from the start of the command: until a
  new token is signed by the standby, until the published key set lacks the key, and until the verifier refuses a token
  that the key had signed. The last depends on how long a verifier keeps keys: here 10 s, which is the least that it
  allows, and by default the issuer's max-age, 300 s. It has fetched them right before, which is the worst case.
"""

import json
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.specs.rfc7515_jose import parse_unverified_header
from app.verifier import AccessTokenVerifier, InvalidToken
from benchmarks.flows import SignedInBrowsers, discover
from benchmarks.load_generator import run_load
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

VERIFICATIONS_PER_S = 50
KEPT_KEYS_S = 10.0
LONGEST_DRILL_S = 30.0


class TokenClient:
    """A client whose user is signed in: every call is a flow that gives a new token."""

    def __init__(self, issuer: str, scenario: Scenario) -> None:
        self.endpoints = discover(issuer)
        self._browsers = SignedInBrowsers(self.endpoints, scenario, count=1, openid=False)

    def new_token(self) -> str:
        operation = self._browsers.authorize_and_exchange()
        run_load(self.endpoints.origin, operation, connections=1, seconds=10, most_operations=1)
        return self._browsers.token_response()["access_token"]


class SteadyVerification:
    """Verifies the newest token fifty times a second in a thread of its own, while tokens keep coming."""

    def __init__(self, verifier: AccessTokenVerifier, first_token: str) -> None:
        self.newest_token = first_token
        self.verified = 0
        self.failures: list[str] = []
        self.longest_ms = 0.0
        self._verifier = verifier
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SteadyVerification":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1 / VERIFICATIONS_PER_S):
            start = time.perf_counter()
            try:
                self._verifier.verify(self.newest_token)
            except Exception as error:  # whatever it is, it is a failed verification and is printed
                self.failures.append(f"{type(error).__name__}: {error}")
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - start) * 1000)
            self.verified += 1


def rotate_under_load(
    deployment: Deployment, client: TokenClient, verifier: AccessTokenVerifier, *, seconds: float
) -> tuple[list[Result], list[str]]:
    old_token = client.new_token()
    with SteadyVerification(verifier, old_token) as steady, ThreadPoolExecutor(1) as operator:
        rotation = None
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            if rotation is None and elapsed > seconds / 2:
                rotation = operator.submit(deployment.command, "keys", "rotate", "--now")
            steady.newest_token = client.new_token()
            time.sleep(0.05)
        if rotation is not None:
            rotation.result()
    verifier.verify(old_token)  # a rotated key still verifies what it has signed
    if _kid(steady.newest_token) == _kid(old_token):
        raise RuntimeError("the key was not rotated: new tokens carry the old kid")
    results = [
        Result(name="rotation: failed verifications", ours=len(steady.failures), unit="failures"),
        Result(name="rotation: longest verification", ours=steady.longest_ms, unit="ms"),
    ]
    notes = [f"{steady.verified} verifications while the key was rotated", *steady.failures[:5]]
    return results, notes


def revoke(deployment: Deployment, client: TokenClient, audience: str) -> list[Result]:
    old_token = client.new_token()
    revoked = _kid(old_token)
    # It fetches its keys at the last moment before they change: the worst case.
    verifier = AccessTokenVerifier(issuer=client.endpoints.issuer, audience=audience, max_age_s=KEPT_KEYS_S)
    verifier.verify(old_token)
    seconds: dict[str, float] = {}
    with ThreadPoolExecutor(1) as operator:
        start = time.perf_counter()
        command = operator.submit(deployment.command, "keys", "revoke", revoked)
        watches: dict[str, Callable[[], bool]] = {
            "revocation: the command has ended": command.done,
            "revocation: a new token is signed by the standby": lambda: _kid(client.new_token()) != revoked,
            "revocation: the published key set lacks the key": lambda: revoked not in _published(client),
            f"revocation: a verifier that keeps keys for {KEPT_KEYS_S:g} s refuses the key": (
                lambda: _is_refused(verifier, old_token)
            ),
        }
        while len(seconds) < len(watches) and time.perf_counter() - start < LONGEST_DRILL_S:
            for name, has_happened in watches.items():
                if name not in seconds and has_happened():
                    seconds[name] = time.perf_counter() - start
            time.sleep(0.01)
        command.result()
    missing = watches.keys() - seconds.keys()
    if missing:
        raise RuntimeError(f"not seen within {LONGEST_DRILL_S} s: {', '.join(sorted(missing))}")
    return [Result(name=name, ours=seconds[name], unit="s") for name in watches]


def _is_refused(verifier: AccessTokenVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken:
        return True
    return False


def _published(client: TokenClient) -> set[str]:
    with urllib.request.urlopen(client.endpoints.jwks, timeout=10) as answer:
        return {key["kid"] for key in json.loads(answer.read())["keys"]}


def _kid(token: str) -> str:
    return parse_unverified_header(token).kid or ""


def main() -> None:
    arguments = parse_arguments(__doc__ or "", seconds=6.0)
    scenario = Scenario()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder) / "ours")
        progress("setting up Tokenhouse")
        deployment.set_up(scenario)
        with deployment.serving() as server:
            client = TokenClient(server.issuer, scenario)
            verifier = AccessTokenVerifier(issuer=server.issuer, audience=scenario.resource, max_age_s=KEPT_KEYS_S)
            progress("rotating under load")
            results, notes = rotate_under_load(deployment, client, verifier, seconds=arguments.seconds)
            progress("revoking the signing key")
            results += revoke(deployment, client, scenario.resource)
    print_results("Keys: rotation under load and the drill", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
