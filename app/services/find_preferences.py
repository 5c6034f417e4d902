"""How somebody wants to be spoken to: their claims `locale` and `zoneinfo` (OpenID Connect Core 5.1)."""

from dataclasses import dataclass

from app.services.deployment import Deployment
from app.storage.users import find_user


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """As they are written in the account; empty where nothing is. Neither is known to be a language or a zone."""

    locale: str
    zoneinfo: str


def find_preferences(deployment: Deployment, user_id: int) -> Preferences:
    """What one person chose; nothing for somebody who is gone."""
    with deployment.database.reading() as connection:
        user = find_user(connection, user_id)
    claims = {} if user is None else user.claims
    locale, zone = claims.get("locale"), claims.get("zoneinfo")
    return Preferences(
        locale=locale if isinstance(locale, str) else "",
        zoneinfo=zone if isinstance(zone, str) else "",
    )
