"""`tokenhouse keys`."""

from typing import Any

import click

from app.cli.display import details, moment, seconds, table
from app.cli.opening import opened_deployment
from app.cli.operator_command import Answer, OperatorGroup
from app.services import manage_keys
from app.services.deployment import Deployment
from app.services.manage_keys import KeySummary
from app.services.probe_server import ProbeFailed, ServerProbe
from app.services.rotate_keys import KeyChange

# Every server looks for changes at least once a second.
_NOTICED_WITHIN_S = 1
_PATIENCE_S = 15


@click.group("keys", cls=OperatorGroup)
def command() -> None:
    """The keys that sign tokens: pending, standby, active, retired."""


@command.command("list")
def list_() -> Answer:
    """The published keys, the oldest first."""
    with opened_deployment() as deployment:
        keys = manage_keys.list_keys(deployment)
    rows = [
        (key.alg, key.state, moment(key.published_at), moment(key.active_at), moment(key.retired_at), key.kid)
        for key in keys
    ]
    human = table(("alg", "state", "published", "active", "retired", "kid"), rows)
    return Answer(document=[_document(key) for key in keys], human=human)


@command.command("rotate")
@click.option("--now", is_flag=True, help="Let the standby keys, which verifiers know already, sign at once.")
def rotate(now: bool) -> Answer:
    """Publish new keys; the server lets them sign once every verifier has had the time to fetch them."""
    with opened_deployment() as deployment:
        done = manage_keys.rotate_keys_now(deployment) if now else manage_keys.rotate_keys(deployment)
        publication_s = deployment.rotation.publication_ms // 1000
    sign_in_s = 0 if now else publication_s
    when = "sign from now on" if now else f"sign in {publication_s} s, while a server runs"
    document = {"changes": [_change(change) for change in done], "sign_in_s": sign_in_s}
    human = (_changes_table(done), f"The new keys {when}." if done else "There are pending keys already.")
    return Answer(document=document, human=human)


@command.command("revoke")
@click.argument("kid")
@click.option("--url", help="Also measure until when the key set at the server's public URL still has the key.")
def revoke(kid: str, url: str | None) -> Answer:
    """Take a key out at once; if it signed, the standby signs from here on. Every token it signed is refused.

    This server refuses them within a second. A verifier refuses them once it fetches the key set anew: at the latest
    when the copy that it may keep has grown too old.
    """
    with opened_deployment() as deployment:
        done = manage_keys.revoke_signing_key(deployment, kid)
        measured_s, note = _measure(deployment, kid, url)
        refused_within_s = deployment.settings.jwks_max_age_s + _NOTICED_WITHIN_S
    document: dict[str, Any] = {
        "revoked": kid,
        "changes": [_change(change) for change in done],
        "verifiers_refuse_within_s": refused_within_s,
        "gone_from_jwks_after_s": measured_s,
    }
    measured = "not measured" if measured_s is None else f"{measured_s:.2f} s"
    human = (
        _changes_table(done),
        details(
            [
                ("Gone from the public key set after", measured),
                ("Every verifier refuses the key within", f"{refused_within_s} s"),
            ]
        ),
    )
    return Answer(document=document, human=human, notes=(note,) if note else ())


def _measure(deployment: Deployment, kid: str, url: str | None) -> tuple[float | None, str]:
    if url is None:
        return None, ""
    try:
        with ServerProbe(url, ca_bundle=deployment.settings.outbound_ca_bundle) as probe:
            elapsed_s = probe.wait_until_key_is_gone(kid, patience_s=_PATIENCE_S)
    except ProbeFailed as error:
        return None, f"The key is revoked, but the key set could not be watched: {error}"
    if elapsed_s is None:
        return (
            None,
            f"The key is revoked, but after {_PATIENCE_S} s {url}/jwks still has it: something keeps old copies",
        )
    return round(elapsed_s, 3), ""


def _document(key: KeySummary) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "alg": key.alg,
        "state": key.state,
        "published_at": seconds(key.published_at),
        "active_at": seconds(key.active_at),
        "retired_at": seconds(key.retired_at),
    }


def _change(change: KeyChange) -> dict[str, str]:
    return {"kid": change.kid, "alg": change.alg, "state": change.state}


def _changes_table(changes: tuple[KeyChange, ...]) -> Any:
    return table(("alg", "became", "kid"), [(change.alg, change.state, change.kid) for change in changes])
