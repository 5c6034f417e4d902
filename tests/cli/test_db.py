"""`tokenhouse db`: upgrade and check, and what the program says to a schema that it does not know."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.storage.database import Database
from tests.cli.processes import CommandLine
from tests.databases import on_both_databases
from tests.storage.test_migrations import REVISIONS


def set_revision(command_line: CommandLine, revision: str) -> None:
    change(command_line, "UPDATE alembic_version SET version_num = :revision", revision=revision)


def change(command_line: CommandLine, statement: str, **values: str) -> None:
    database = Database(command_line.environment["TOKENHOUSE_DATABASE_URL"], pool_size=1)
    database.transact(lambda connection: connection.execute(text(statement), values))
    database.dispose()


@on_both_databases
def test_upgrade_and_check_from_nothing(new_command_line: CommandLine) -> None:
    empty = new_command_line("db", "check", "--json")
    assert empty.exit_code == 1
    assert empty.document["state"] == "empty"
    assert "tokenhouse db upgrade" in empty.document["error_description"]
    upgraded = new_command_line.json("db", "upgrade")
    assert upgraded["reached"] == list(REVISIONS)
    assert upgraded["revision"] == REVISIONS[-1]
    assert new_command_line.json("db", "upgrade")["reached"] == []
    checked = new_command_line.json("db", "check")
    assert (checked["state"], checked["differences"]) == ("current", [])
    # The tables alone are not a deployment yet.
    assert "tokenhouse init" in new_command_line.refusal("user", "list")["error_description"]
    new_command_line.json("init")
    assert new_command_line.json("user", "list") == []


@on_both_databases
def test_two_upgrades_at_once_both_end_well(new_command_line: CommandLine) -> None:
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: new_command_line("db", "upgrade", "--json"), range(2)))
    assert [outcome.exit_code for outcome in outcomes] == [0, 0]
    reached = [revision for outcome in outcomes for revision in json.loads(outcome.stdout)["reached"]]
    assert sorted(reached) == list(REVISIONS)


@pytest.mark.parametrize("revision", ["0099_since_0098", "abc"])
def test_the_server_and_the_commands_refuse_a_schema_that_they_do_not_know(
    command_line: CommandLine, revision: str
) -> None:
    set_revision(command_line, revision)
    outcome = command_line("serve")
    assert outcome.exit_code == 1
    assert "`tokenhouse db upgrade`" in outcome.stderr
    assert "`tokenhouse db upgrade`" in command_line.refusal("user", "list")["error_description"]
    assert command_line("db", "check").exit_code == 1


def test_tables_that_were_changed_by_hand_are_told(command_line: CommandLine) -> None:
    change(command_line, "ALTER TABLE users ADD COLUMN shoe_size INTEGER")
    outcome = command_line("db", "check", "--json")
    assert outcome.exit_code == 1
    assert "shoe_size" in str(outcome.document["differences"])
