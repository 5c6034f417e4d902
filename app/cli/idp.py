"""`tokenhouse idp`."""

from collections.abc import Mapping
from typing import Any

import click

from app.cli.display import details, table
from app.cli.doctor import MARKS
from app.cli.opening import opened_deployment, read_document
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_providers
from app.services.examine_provider import examine_provider
from app.services.invite_by_provider import invite
from app.services.manage_providers import RegisteredProvider
from app.services.notify_person import sends_mail


@click.group("idp", cls=OperatorGroup)
def command() -> None:
    """Other providers whose logins count here."""


@command.command("add")
@click.option("--from", "source", required=True, metavar="FILE", help="The provider as JSON; - is standard input.")
def add(source: str) -> Answer:
    """Register a provider; what it has to know of this server is printed."""
    document = read_document(source)
    with opened_deployment() as deployment:
        return _answer(manage_providers.add_provider(deployment, document))


@command.command("list")
def list_() -> Answer:
    """Every provider, the oldest first."""
    with opened_deployment() as deployment:
        providers = [provider.to_document() for provider in manage_providers.list_registered(deployment)]
    rows = [
        (each["name"], each["display_name"], each.get("issuer", "oauth"), each["provisioning"], each["disabled"])
        for each in providers
    ]
    human = table(("name", "shown as", "issuer", "provisioning", "disabled"), rows)
    return Answer(document=providers, human=human)


@command.command("show")
@click.argument("name")
def show(name: str) -> Answer:
    """One provider."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.show_provider(deployment, name))


@command.command("disable")
@click.argument("name")
def disable(name: str) -> Answer:
    """Let nobody in by a provider any more."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.set_disabled(deployment, name, is_disabled=True))


@command.command("enable")
@click.argument("name")
def enable(name: str) -> Answer:
    """Let people in by a provider again."""
    with opened_deployment() as deployment:
        return _answer(manage_providers.set_disabled(deployment, name, is_disabled=False))


@command.command("invite")
@click.argument("name")
@click.option("--email", required=True, help="The address with which they sign in at the provider.")
def invite_(name: str, email: str) -> Answer:
    """Invite somebody to make an account by signing in at a provider: a link that is good once, for a week."""
    with opened_deployment() as deployment:
        link = invite(deployment, name, email)
        is_mailed = sends_mail(deployment)
    document = {"url": link.url, "expires_at": link.expires_at // 1000, "mailed": is_mailed}
    notes = () if is_mailed else ("Without TOKENHOUSE_SMTP_URL nothing was sent: give them the link yourself.",)
    return Answer(document=document, human=link.url, notes=notes)


@command.command("test")
@click.argument("name")
def test(name: str) -> Answer:
    """Look at what a provider publishes, as a sign-in would. Exit status 1 when something is wrong."""
    with opened_deployment() as deployment:
        findings = examine_provider(deployment, name)
    errors = [finding for finding in findings if finding.status == "error"]
    document = {
        "ok": not errors,
        "findings": [
            {"check": finding.check, "status": finding.status, "sentence": finding.sentence} for finding in findings
        ],
    }
    if errors:
        document |= {"error": "provider_unusable", "error_description": f"{errors[0].check}: {errors[0].sentence}"}
    rows = [(MARKS[finding.status], finding.check, finding.sentence) for finding in findings]
    return Answer(document=document, human=table(("", "check", "finding"), rows), exit_code=1 if errors else 0)


def _answer(provider: RegisteredProvider) -> Answer:
    document = provider.to_document()
    return Answer(document=document, human=details((name, _in_words(value)) for name, value in document.items()))


def _in_words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [f"{name}: {member}" for name, member in value.items()]
    return value
