"""Which passwords people may choose, and what attackers' lists and zxcvbn cost."""

import hashlib
import time
from pathlib import Path

import pytest

from app.services.breached_passwords import BreachedPasswords
from app.services.deployment import DeploymentError, open_deployment
from app.services.password_rules import judge
from app.settings import SettingsError, load_settings
from tests.deployments import make_deployment, make_environment

SIGNS = "4@8({[<369&#!1/|0$57%2+"


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("correct horse battery staple", None),
        ("vqkzjwxpmthr", None),
        ("password1234", "common"),
        ("ada.lovelace@analytical.example", "personal"),
        ("lovelacelovelace", "repeated"),
        ("asdfghjkl;'p", "keyboard"),
        ("abcdefghijklmnop", "sequence"),
        ("111111111111", "repeated"),
    ],
)
def test_what_is_easy_to_guess_is_told_apart_from_what_is_hard(password: str, fault: str | None) -> None:
    assert judge(password, ("ada", "ada.lovelace@analytical.example")) == fault


@pytest.mark.parametrize("password", [SIGNS * 4, "p4$$w0rd" * 200, "a" * 1024, "aA1!" * 256, "\U0001f600" * 1024])
def test_no_password_takes_long_to_judge(password: str) -> None:
    began = time.process_time()
    judge(password, ("ada",))
    assert time.process_time() - began < 2


# ----- The list of an operator -----


def write_list(path: Path, passwords: list[str], *, line_end: str = "\n", count: str = ":17", last: str = "\n") -> None:
    digests = sorted(hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest() for password in passwords)
    path.write_text(line_end.join(digest.upper() + count for digest in digests) + last, newline="")


@pytest.mark.parametrize("length", [1, 2, 3, 1000])
@pytest.mark.parametrize(("line_end", "count", "last"), [("\n", ":17", "\n"), ("\r\n", ":3730471", ""), ("\n", "", "")])
def test_each_line_of_a_list_is_found_and_nothing_else(
    tmp_path: Path, length: int, line_end: str, count: str, last: str
) -> None:
    path = tmp_path / "list.txt"
    write_list(path, [f"known {number}" for number in range(length)], line_end=line_end, count=count, last=last)
    known = BreachedPasswords(path)
    assert all(f"known {number}" in known for number in range(length))
    assert not any(f"unknown {number}" in known for number in range(500))
    known.close()


@pytest.mark.parametrize("text", ["", "\n", "password\n", "0" * 39 + "\n", "F" * 40 + "\n" + ("0" * 40 + "\n") * 200])
def test_a_file_that_is_no_such_list_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    environment = make_environment(
        issuer="http://localhost:8400", database_url=f"sqlite:///{tmp_path}/t.db", directory=tmp_path
    )
    make_deployment(environment)
    settings = load_settings({**environment, "TOKENHOUSE_BREACHED_PASSWORDS": str(path)})
    with pytest.raises(DeploymentError, match=f"TOKENHOUSE_BREACHED_PASSWORDS: {path}"):
        open_deployment(settings)


def test_a_list_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="breached_passwords: no file at"):
        load_settings({"TOKENHOUSE_BREACHED_PASSWORDS": str(tmp_path / "none.txt")})


def test_sign_up_without_mail_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="TOKENHOUSE_SMTP_URL"):
        load_settings({"TOKENHOUSE_SIGNUP": "on"})
