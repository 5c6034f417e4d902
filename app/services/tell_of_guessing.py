"""Who is told of guessed passwords: the operator where a network tries many accounts, the person whose one it is."""

from app.services.begin_session import Arrival
from app.services.deployment import Deployment
from app.services.limit_guesses import CountedGuesses
from app.services.notify_person import notify_person
from app.services.record_event import Event
from app.services.throttle_logins import ACCOUNTS_FROM_NETWORK, LOGINS_OF_ACCOUNT
from app.services.watch_logins import STUFFING
from app.storage.database import Connection
from app.storage.throttle import count_attempt
from app.storage.users import UserRow

DAY_MS = 86_400_000


def tell_of_guessing(
    deployment: Deployment, user: UserRow | None, counted: CountedGuesses, *, username_key: str, arrival: Arrival
) -> None:
    """After a wrong password: tell whoever has to know, if it was the one with which a limit was reached."""
    accounts = counted.find(ACCOUNTS_FROM_NETWORK)
    if accounts is not None and accounts.blocked_until:
        STUFFING.labels("network").inc()
        # In the bounded queue of refusals: an attacker behind many networks must not own the only writer.
        deployment.recorder.refuse(
            Event(
                type="stuffing.detected",
                actor="anonymous",
                body={"seen_at": "network", "accounts": accounts.failures},
                personal={"address": arrival.address},
            )
        )
    account = counted.find(LOGINS_OF_ACCOUNT)
    if account is not None and account.blocked_until:
        _tell_owner(deployment, user, username_key=username_key, arrival=arrival)


def _tell_owner(deployment: Deployment, user: UserRow | None, *, username_key: str, arrival: Arrival) -> None:
    """Once a day, and counted for names that nobody has as well: the two must not differ by more than a mail."""
    now = deployment.clock()
    told = deployment.seals.digest("throttle-told", username_key)[0]

    def work(connection: Connection) -> None:
        is_first_today = count_attempt(connection, told, now=now, window_ms=DAY_MS).attempts == 1
        if user is None or not is_first_today:
            return
        personal = arrival.personal
        deployment.recorder.record(
            connection, Event(type="login.throttled", actor="anonymous", sub=user.sub, body={}, personal=personal)
        )
        if user.disabled_at is None:
            notify_person(deployment, connection, user, "many_failed_logins", {"address": arrival.address}, now)

    deployment.database.transact(work)
