"""How long a cold start takes and how much memory a worker keeps, beside node-oidc-provider.

    .venv/bin/python benchmarks/start_and_memory.py [--json]

Cold start: from the start of the process (`tokenhouse serve`, `node server.js`) to the first 200 of the metadata,
polled every two milliseconds; the best of five starts on a deployment that is set up, files in the page cache, on one
core. The aim is under 1.5 s.

Memory: resident set after 10,000 requests of single sign-on flows, metadata and keys, in MB (10^6 bytes). For ours it
is the worker process (the largest; the one that supervises it stands in the note), for the peer its only process. The
aim is under 110 MB. The peer holds every session, code and grant of these requests in that memory; ours does not.
"""

import tempfile
from pathlib import Path

from benchmarks.flows import SignedInBrowsers, discover
from benchmarks.load_generator import Repeat, get_request, pin_generator, run_load, server_cores
from benchmarks.node_peer import running_node_peer
from benchmarks.processes import resident_mb
from benchmarks.report import Result, parse_arguments, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

STARTS = 5
REQUESTS = 10_000
CONNECTIONS = 8
FLOWS_PER_TURN = 500


def our_starts(deployment: Deployment) -> list[float]:
    starts = []
    for _ in range(STARTS):
        with deployment.serving(cores=server_cores()) as server:
            starts.append(server.seconds_to_first_answer)
    return starts


def peer_starts(scenario: Scenario, folder: Path) -> list[float]:
    starts = []
    for _ in range(STARTS):
        with running_node_peer(scenario, folder=folder, cores=server_cores()) as peer:
            starts.append(peer.seconds_to_first_answer)
    return starts


def load(issuer: str, scenario: Scenario) -> None:
    """At least `REQUESTS` requests: half of them flows with an ID token, the rest metadata and keys."""
    endpoints = discover(issuer)
    browsers = SignedInBrowsers(endpoints, scenario, count=CONNECTIONS, openid=True)
    done = 0
    while done < REQUESTS // 2:
        report = run_load(
            endpoints.origin,
            browsers.authorize_and_exchange(),
            connections=CONNECTIONS,
            seconds=30,
            most_operations=FLOWS_PER_TURN,
        )
        done += report.requests
    for url in (endpoints.metadata, endpoints.jwks):
        run_load(
            endpoints.origin,
            Repeat(get_request(url)),
            connections=CONNECTIONS,
            seconds=30,
            most_operations=REQUESTS // 4,
        )


def our_memory_mb(deployment: Deployment, scenario: Scenario) -> tuple[float, float]:
    """The worker's resident memory, and that of all the server's processes together."""
    with deployment.serving(cores=server_cores()) as server:
        load(server.issuer, scenario)
        sizes = resident_mb(server.pid)
        return max(sizes[1:], default=sizes[0]), sum(sizes)


def peer_memory_mb(scenario: Scenario, folder: Path) -> float:
    with running_node_peer(scenario, folder=folder, cores=server_cores()) as peer:
        load(peer.issuer, scenario)
        return resident_mb(peer.pid)[0]


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    scenario = Scenario()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deployment = Deployment(folder / "ours")
        progress("setting up Tokenhouse")
        deployment.set_up(scenario)
        progress(f"starting each server {STARTS} times")
        of_ours, of_peer = our_starts(deployment), peer_starts(scenario, folder)
        pin_generator()
        progress(f"sending {REQUESTS} requests to each")
        worker_mb, all_mb = our_memory_mb(deployment, scenario)
        peer_mb = peer_memory_mb(scenario, folder)
    results = [
        Result(name="cold start to the first 200, best of five", ours=min(of_ours), peer=min(of_peer), unit="s"),
        Result(name="resident memory per worker after 10,000 requests", ours=worker_mb, peer=peer_mb, unit="MB"),
    ]
    notes = [
        "starts of ours: " + ", ".join(f"{seconds:.2f} s" for seconds in of_ours),
        "starts of the peer: " + ", ".join(f"{seconds:.2f} s" for seconds in of_peer),
        f"all processes of ours together, supervisor included: {all_mb:.0f} MB",
    ]
    print_results("Start and memory", results, as_json=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
