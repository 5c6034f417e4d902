"""Does the time of a refused login tell whether there is such a person? (The answer itself does not.)

    .venv/bin/python benchmarks/login_timing.py [--json] [--tries 200]

Each try posts a password at the login page of a running server, one after the other, in an order drawn by lot: a wrong
one for somebody who is known, one for a name that nobody has, the right one of somebody who was disabled, and one for
somebody who has no password. Printed is the median time of each, and how far it is from that of the wrong password;
status, header names and length of all answers must be equal, and the medians within 5 ms, or the program ends with an
error.
"""

import random
import statistics
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.load_generator import pin_generator, server_cores
from benchmarks.login_page import PASSWORD, SETTINGS, Answer, LoginPage, add_people, addresses
from benchmarks.report import Result, make_parser, print_results, progress
from benchmarks.scenario import Scenario
from benchmarks.tokenhouse_server import Deployment

# Fewer to a name than make it wait.
TRIES_PER_NAME = 10
WARM_UP = 8
WRONG = "wrong password"
MOST_APART_MS = 5.0


def main() -> None:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--tries", type=int, default=200, help="of each kind (default %(default)s)")
    arguments = parser.parse_args()
    scenario = Scenario()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder) / "ours", **SETTINGS)
        deployment.set_up(scenario)
        per_kind = max(1, arguments.tries)
        count = per_kind // TRIES_PER_NAME + 1
        progress(f"adding {3 * count} people")
        names = {
            WRONG: (add_people(deployment, "known", count), "not that one, certainly"),
            "unknown name": ([f"nobody-{number}" for number in range(count)], PASSWORD),
            "disabled, right password": (add_people(deployment, "disabled", count, disabled=True), PASSWORD),
            "no password": (add_people(deployment, "passwordless", count, password=None), PASSWORD),
        }
        with deployment.serving(cores=server_cores()) as running:
            pin_generator()
            page = LoginPage(running.issuer, authorization_url(running.issuer, scenario))
            answers = _measure(page, names, per_kind)
    _check_equal(answers)
    medians = {kind: statistics.median(answer.seconds for answer in got) * 1000 for kind, got in answers.items()}
    results = [
        Result(name=kind, ours=median, peer=medians[WRONG] if kind != WRONG else None, unit="ms, median")
        for kind, median in medians.items()
    ]
    # What else the machine does only ever makes a try longer: the quickest tenth is the steadier number.
    tenth = {kind: _quickest_tenth_ms(got) for kind, got in answers.items()}
    notes = [
        f"{kind}: median {medians[kind] - medians[WRONG]:+.2f} ms, quickest tenth {tenth[kind] - tenth[WRONG]:+.2f}"
        for kind in medians
        if kind != WRONG
    ]
    notes.append(f"{per_kind} tries of each kind; every answer had the same status, header names and length class")
    print_results(
        "A refused login, by what was wrong ('peer' is the wrong password)",
        results,
        as_json=arguments.json,
        notes=notes,
    )
    apart = max(medians.values()) - min(medians.values())
    if apart > MOST_APART_MS:
        raise SystemExit(f"the medians are {apart:.1f} ms apart: the time tells who exists")


def _measure(page: LoginPage, names: dict[str, tuple[list[str], str]], per_kind: int) -> dict[str, list[Answer]]:
    address = addresses()
    for number in range(WARM_UP):
        page.post(f"warm-up-{number}", PASSWORD, address=next(address))
    progress(f"{4 * per_kind} tries")
    order = [kind for kind in names for _ in range(per_kind)]
    random.shuffle(order)
    answers: dict[str, list[Answer]] = {kind: [] for kind in names}
    for kind in order:
        people, password = names[kind]
        name = people[len(answers[kind]) // TRIES_PER_NAME]
        answers[kind].append(page.post(name, password, address=next(address)))
    return answers


def _quickest_tenth_ms(answers: list[Answer]) -> float:
    return sorted(answer.seconds for answer in answers)[len(answers) // 10] * 1000


def _check_equal(answers: dict[str, list[Answer]]) -> None:
    """The names have other lengths, and stand in the page: nothing else may differ."""
    shapes = {(answer.status, answer.header_names) for got in answers.values() for answer in got}
    lengths = [answer.length for got in answers.values() for answer in got]
    if len(shapes) != 1 or max(lengths) - min(lengths) > 40:
        raise SystemExit(f"the answers differ: {shapes}, {min(lengths)} to {max(lengths)} bytes")


def authorization_url(issuer: str, scenario: Scenario) -> str:
    """What a browser opens to get to the login page."""
    query = {
        "response_type": "code",
        "client_id": scenario.client_id,
        "redirect_uri": scenario.redirect_uri,
        "scope": "openid",
        "nonce": "n",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    return f"{issuer}/authorize?{urlencode(query)}"


if __name__ == "__main__":
    main()
