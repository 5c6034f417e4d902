"""RFC 9111 - HTTP Caching: for how long a document that was fetched may be used again.

Only what the one who answered says in `Cache-Control`, between bounds that the caller sets. Not implemented: `Expires`,
`Age` and revalidation; what is fetched here is small and fetched seldom.
"""

import re
from typing import Final

_MAX_AGE: Final = re.compile(r'max-age="?([0-9]{1,10})"?')
_NEVER: Final = frozenset({"no-store", "no-cache"})


def find_freshness_s(cache_control: str | None, *, default_s: int, least_s: int, most_s: int) -> int:
    """For how many seconds the answer counts as fresh, never less than `least_s` nor more than `most_s`.

    Of two `max-age` the shorter counts (section 4.2.1 leaves it open). What cannot be read is passed over.
    """
    directives = [part.strip().lower() for part in (cache_control or "").split(",")]
    if not _NEVER.isdisjoint(directives):
        return least_s
    ages = [int(match[1]) for part in directives if (match := _MAX_AGE.fullmatch(part)) is not None]
    return max(least_s, min(most_s, min(ages, default=default_s)))
