"""At a terminal a password is asked for, twice and unseen."""

import os
import pty
import select
import time

from tests.cli.processes import TOKENHOUSE, CommandLine, clean_environment
from tests.server import ROOT

PASSWORD = "correct horse battery staple"


def talk(command_line: CommandLine, *arguments: str, answers: list[str]) -> tuple[int, str]:
    """Exit code and screen of a command on a terminal of its own; each answer is typed at the next question."""
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.chdir(ROOT)
        os.execve(TOKENHOUSE, [str(TOKENHOUSE), *arguments], clean_environment(command_line.environment))  # noqa: S606
    screen, asked, deadline = "", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            seen = os.read(terminal, 4096).decode()
        except OSError:
            break
        screen += seen
        if screen.count(": ") > asked and asked < len(answers) and screen.endswith(": "):
            os.write(terminal, f"{answers[asked]}\n".encode())
            asked += 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]), screen


def test_the_password_is_asked_for_twice_and_never_shown(command_line: CommandLine) -> None:
    code, screen = talk(command_line, "user", "add", "alice", "--email", "a@example.com", answers=[PASSWORD, PASSWORD])
    assert code == 0, screen
    assert PASSWORD not in screen
    assert command_line.json("user", "show", "alice")["username"] == "alice"


def test_two_different_passwords_are_asked_for_again(command_line: CommandLine) -> None:
    answers = [PASSWORD, "another password", PASSWORD, PASSWORD]
    code, screen = talk(command_line, "user", "add", "alice", "--email", "a@example.com", answers=answers)
    assert code == 0, screen
    assert screen.count("Password for alice") == 2
