"""How somebody wants to be spoken to: their claims `locale` and `zoneinfo` (OpenID Connect Core 5.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.services.deployment import Deployment
from app.storage.users import find_user

# The names of the IANA database; what else may be a path must not reach the file system.
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What somebody chose; None where nothing is. `locale` is as it is written, and perhaps no language of ours."""

    locale: str | None = None
    zone: ZoneInfo | None = None


def find_preferences(deployment: Deployment, user_id: int) -> Preferences:
    """What one person chose; nothing for somebody who is gone."""
    with deployment.database.reading() as connection:
        user = find_user(connection, user_id)
    return Preferences() if user is None else read_preferences(user.claims)


def read_preferences(claims: Mapping[str, Any]) -> Preferences:
    """What is written down of it among the claims of a person."""
    locale, zone_name = claims.get("locale"), claims.get("zoneinfo")
    return Preferences(
        locale=locale if isinstance(locale, str) else None,
        zone=parse_zone(zone_name) if isinstance(zone_name, str) else None,
    )


def parse_zone(name: str) -> ZoneInfo | None:
    """The time zone of this name; None where there is no such one."""
    if _ZONE_NAME.fullmatch(name) is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # A part of a name is a directory there, and no zone.
        return None
