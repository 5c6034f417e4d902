"""Signing in by another provider: who has come back is let in, or owes a second factor, or has no account here."""

from typing import Any, Final

from app.services.begin_session import Arrival, LoggedIn, begin_session
from app.services.deployment import Deployment
from app.services.identity_providers import Provider
from app.services.log_in import SecondFactorDue
from app.services.second_factors import find_factors
from app.services.transactions import Transaction, Visit
from app.services.upstream_accounts import find_account, make_account
from app.services.upstream_identity import UpstreamIdentity
from app.services.upstream_sessions import remember_origin
from app.services.upstream_trip import Return, seal_body
from app.specs.identity_provider_document import reached_level
from app.storage.database import Connection
from app.storage.transactions import set_first_factor
from app.storage.upstream_transactions import keep_returned
from app.storage.users import UserRow

FEDERATED: Final = "fed"
"""What an `amr` of ours says of such a login; how somebody logged in there is the other provider's to say."""
# What is asked of the provider is a little less than what was asked of us: the way back takes time, too.
_WAY_BACK_S: Final = 30
_LEAST_ASKED_S: Final = 60
# RFC 8176: the words of a provider that are passed on where it is believed to have asked for more than a password.
_PASSED_ON: Final = frozenset(
    {"face", "fpt", "hwk", "iris", "kba", "mca", "otp", "pin", "pop", "sc", "sms", "swk", "tel"}
)


def demanded_max_age_s(pending: Transaction | Visit) -> int | None:
    """How old the login at the provider may be; 0 asks for one now, None for any."""
    if isinstance(pending, Visit):
        return None if pending.page.max_age_s is None else 0
    if "login" in pending.request.prompt:
        return 0
    max_age_s = pending.request.max_age_s
    if max_age_s is None:
        return None
    return max_age_s - _WAY_BACK_S if max_age_s > _LEAST_ASKED_S else 0


def finish_login(
    deployment: Deployment,
    provider: Provider,
    identity: UpstreamIdentity,
    returned: Return,
    arrival: Arrival,
) -> LoggedIn | SecondFactorDue:
    """Let somebody in whom a provider has vouched for. Raises `NoAccount` or `AccountClosed`."""
    now = deployment.clock()
    level = reached_level(provider.document, acr=identity.acr, amr=identity.amr)

    def work(connection: Connection) -> LoggedIn | SecondFactorDue:
        user = find_account(connection, provider, identity, now=now)
        if user is None:
            invitation = returned.errand.invitation
            user = make_account(deployment, connection, provider, identity, arrival, invitation=invitation, now=now)
        return let_in_or_ask(deployment, connection, provider, identity, returned, arrival, user, level=level, now=now)

    return deployment.database.transact(work)


def let_in_or_ask(
    deployment: Deployment,
    connection: Connection,
    provider: Provider,
    identity: UpstreamIdentity,
    returned: Return,
    arrival: Arrival,
    user: UserRow,
    *,
    level: str,
    now: int,
) -> LoggedIn | SecondFactorDue:
    """A session, or the second factor that the person has here and that the provider did not stand in for."""
    origin = _describe_origin(provider, identity, user)
    if level == "pwd" and find_factors(connection, user.id).levels:
        set_first_factor(connection, arrival.transaction_id, user_id=user.id, methods=FEDERATED, now=now)
        sealed, key_id = seal_body(deployment, returned.digest, origin)
        keep_returned(connection, returned.digest, sealed_body=sealed, seal_key_id=key_id)
        return SecondFactorDue()
    methods: tuple[str, ...] = (FEDERATED,)
    if level != "pwd":
        methods = (FEDERATED, *(word for word in identity.amr if word in _PASSED_ON), "mfa")
    logged_in = begin_session(
        deployment,
        connection,
        arrival,
        user,
        methods=tuple(dict.fromkeys(methods)),
        level=level,
        now=now,
        proven_at=_proven_at(deployment, provider, identity, returned, now=now),
    )
    remember_origin(deployment, connection, logged_in.session_id, origin)
    return logged_in


def _proven_at(
    deployment: Deployment, provider: Provider, identity: UpstreamIdentity, returned: Return, *, now: int
) -> int:
    """When they logged in there. A login that was demanded happened on this way, whatever the other clock says.

    Who was not asked to log in may have been sent back without a question, for a login of whenever: where a provider
    that can say when does not, it counts as old, so that nobody's open browser passes for the person at it. A provider
    that speaks OAuth alone can never say, and is believed.
    """
    if returned.errand.max_age_s == 0:
        return now
    if identity.auth_time_s is not None:
        return min(now, identity.auth_time_s * 1000)
    if provider.document.kind == "oauth":
        return now
    return now - deployment.settings.session_absolute_lifetime_s * 1000


def _describe_origin(provider: Provider, identity: UpstreamIdentity, user: UserRow) -> dict[str, Any]:
    return {
        "provider_id": provider.id,
        "user_id": user.id,
        "issuer": provider.identity,
        "subject": identity.subject,
        "sid": identity.sid,
        "id_token": identity.id_token,
        "end_session_endpoint": identity.end_session_endpoint,
    }
