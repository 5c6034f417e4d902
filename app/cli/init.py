"""`tokenhouse init`."""

import dataclasses

import click

from app.cli.display import details
from app.cli.opening import read_password, read_settings
from app.cli.operator_command import Answer, OperatorCommand
from app.services.initialise import initialise
from app.services.manage_users import NewUser


@click.command("init", cls=OperatorCommand)
@click.option("--admin", metavar="NAME", help="Also make a first administrator.")
@click.option("--email", metavar="E", help="The administrator's e-mail address.")
@click.option("--password-stdin", is_flag=True, help="Read the administrator's password from standard input.")
def command(admin: str | None, email: str | None, password_stdin: bool) -> Answer:
    """Make the deployment that the settings describe: tables, keys, password cost. A second run changes nothing."""
    new_admin = None
    if admin is not None:
        if email is None:
            raise click.UsageError("--admin needs --email")
        password = read_password(from_stdin=password_stdin, who=admin)
        new_admin = NewUser(username=admin, email=email, password=password, is_admin=True)
    elif email is not None or password_stdin:
        raise click.UsageError("--email and --password-stdin describe the --admin, which is missing")
    made = initialise(read_settings(), admin=new_admin)
    document = {
        "issuer": made.issuer,
        "kek_fingerprint": made.kek_fingerprint,
        "kek_file": made.kek_file,
        "argon2": dataclasses.asdict(made.argon2),
        "admin_sub": made.admin_sub,
    }
    cost = f"Argon2id, m={made.argon2.memory_kib} KiB, t={made.argon2.time_cost}, p={made.argon2.parallelism}"
    human = details(
        [
            ("Issuer", made.issuer),
            ("Key-encryption key", made.kek_file),
            ("Password hashes", cost),
            ("Administrator", f"{admin} ({made.admin_sub})" if admin else "none"),
        ]
    )
    note = f"Keep a copy of {made.kek_file} apart from the database's backups: without it they cannot be opened."
    return Answer(document=document, human=human, notes=(note,))
