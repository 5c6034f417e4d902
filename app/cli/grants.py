"""`tokenhouse grants`."""

from typing import Any

import click

from app.cli.display import details, moment, seconds, table
from app.cli.display import tree as draw_tree
from app.cli.opening import opened_deployment
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_grants
from app.services.manage_grants import GrantBranch, GrantSummary


@click.group("grants", cls=OperatorGroup)
def command() -> None:
    """What people granted to applications."""


@command.command("list")
@click.option("--user", metavar="NAME", help="Only those of one person (username or subject).")
def list_(user: str | None) -> Answer:
    """The grants that are alive, the newest first."""
    with opened_deployment() as deployment:
        grants = manage_grants.list_grants(deployment, user=user)
    rows = [
        (grant.grant_id, grant.sub, grant.client_id, grant.scope, moment(grant.created_at), moment(grant.expires_at))
        for grant in grants
    ]
    human = table(("grant", "sub", "client_id", "scope", "created", "expires"), rows)
    return Answer(document=[_document(grant) for grant in grants], human=human)


@command.command("tree")
@click.argument("user")
def tree(user: str) -> Answer:
    """Who holds what through whom: a person's grants, and beneath each what was exchanged from it.

    USER is a username or subject, or the client_id of a program whose own tokens were exchanged.
    """
    with opened_deployment() as deployment:
        branches = manage_grants.list_tree(deployment, user)
    return Answer(document=[_branch_document(branch) for branch in branches], human=draw_tree(map(_lines, branches)))


@command.command("show")
@click.argument("grant_id")
def show(grant_id: str) -> Answer:
    """One grant, alive or not."""
    with opened_deployment() as deployment:
        return _answer(manage_grants.show_grant(deployment, grant_id))


@command.command("revoke")
@click.argument("grant_id")
def revoke(grant_id: str) -> Answer:
    """End a grant, what was exchanged from it, and the tokens of all."""
    with opened_deployment() as deployment:
        return _answer(manage_grants.revoke_grant(deployment, grant_id))


def _document(grant: GrantSummary) -> dict[str, Any]:
    return {
        "grant_id": grant.grant_id,
        "sub": grant.sub,
        "client_id": grant.client_id,
        "scope": grant.scope,
        "resource": list(grant.resource),
        "created_at": seconds(grant.created_at),
        "expires_at": seconds(grant.expires_at),
        "parent": grant.parent,
    }


def _branch_document(branch: GrantBranch) -> dict[str, Any]:
    return {**_document(branch.grant), "children": [_branch_document(child) for child in branch.children]}


def _lines(branch: GrantBranch) -> tuple[str, Any]:
    grant = branch.grant
    where = ", ".join(grant.resource)
    what = f"{grant.scope or 'no scope'} at {where}, until {moment(grant.expires_at)}"
    line = f"{grant.client_id}: {what} ({grant.grant_id})"
    return line, [_lines(child) for child in branch.children]


def _answer(grant: GrantSummary) -> Answer:
    human = details(
        [
            ("grant", grant.grant_id),
            ("sub", grant.sub),
            ("client_id", grant.client_id),
            ("scope", grant.scope),
            ("single claims", grant.claims or "none"),
            ("resource", grant.resource),
            ("networks", grant.networks or "any"),
            ("duration", grant.duration),
            ("created", moment(grant.created_at)),
            ("expires", moment(grant.expires_at)),
            ("revoked", moment(grant.revoked_at) or "no"),
            ("parent", grant.parent),
        ]
    )
    document = {
        **_document(grant),
        "claims": list(grant.claims),
        "networks": list(grant.networks),
        "revoked_at": seconds(grant.revoked_at),
    }
    return Answer(document=document, human=human)
