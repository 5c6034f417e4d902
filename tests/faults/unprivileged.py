"""`tokenhouse` as a user without privileges: `python -m tests.faults.unprivileged ARGUMENTS...`.

Root reads every file, so what an unreadable one does is shown as the user `nobody` where the tests run as root.
Everything is imported first: the interpreter may lie where `nobody` may not look.
"""

import importlib
import os
import pkgutil
import pwd
import sys

import app
from app.cli.main import main

NOBODY = "nobody"


def import_everything() -> None:
    """Every module of the server; afterwards none has to be found."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.startswith("app.verifier"):
            importlib.import_module(module.name)
    importlib.import_module("encodings.ascii")


def become_nobody() -> None:
    """Give root's rights away, for good."""
    user = pwd.getpwnam(NOBODY)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


if __name__ == "__main__":
    import_everything()
    if os.geteuid() == 0:
        become_nobody()
    sys.argv = ["tokenhouse", *sys.argv[1:]]
    main()
