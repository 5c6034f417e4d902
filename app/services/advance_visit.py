"""One step of a sign-in for a page of ours: who comes, and what they still have to do before they see it."""

from dataclasses import dataclass
from typing import Literal

from app.services.authentication_context import LEVELS
from app.services.choose_account import bound_session
from app.services.deployment import Deployment
from app.services.second_factors import find_factors
from app.services.transactions import OwnPage, Visit
from app.storage.database import Connection
from app.storage.sessions import SessionRow
from app.storage.single_use import redeem_once

VisitPrompt = Literal["login", "second_factor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Nothing is left to do: they may see the page."""

    session: SessionRow


def advance_visit(deployment: Deployment, visit: Visit, sessions: tuple[SessionRow, ...]) -> Arrived | VisitPrompt:
    """Whether the person may see the page, or what is due first. A visit ends with its arrival."""
    session = bound_session(sessions, visit) if visit.session_id is not None else next(iter(sessions), None)
    prompt = due_prompt(deployment, visit.page, session, began_at=visit.began_at)
    if prompt is not None:
        return prompt
    assert session is not None  # noqa: S101 - without one a login is due

    def end(connection: Connection) -> None:
        redeem_once(connection, "authorization_transactions", visit.transaction_id, now=deployment.clock())

    deployment.database.transact(end)
    return Arrived(session=session)


def due_prompt(
    deployment: Deployment, page: OwnPage, session: SessionRow | None, *, began_at: int | None = None
) -> VisitPrompt | None:
    """What a session lacks for a page. `began_at`: when the visit began, after which every login is recent enough."""
    if session is None:
        return "login"
    event = session.events[0]
    is_of_this_visit = began_at is not None and event.at >= began_at
    if page.max_age_s is not None and not is_of_this_visit and deployment.clock() - event.at > page.max_age_s * 1000:
        return "login"
    if LEVELS.index(event.level) >= LEVELS.index(page.level):
        return None
    with deployment.database.reading() as connection:
        reachable = find_factors(connection, session.user_id).levels
    can = any(LEVELS.index(level) >= LEVELS.index(page.level) for level in reachable)
    return "second_factor" if can else None
