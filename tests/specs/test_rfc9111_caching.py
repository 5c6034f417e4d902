"""How long a fetched document counts as fresh."""

import pytest

from app.specs.rfc9111_caching import find_freshness_s


@pytest.mark.parametrize(
    ("cache_control", "freshness_s"),
    [
        (None, 300),
        ("", 300),
        ("public, max-age=120", 120),
        ("MAX-AGE=120", 120),
        ('max-age="120"', 120),
        ("max-age=120, max-age=240", 120),
        ("max-age=0", 60),
        ("max-age=9999999999", 3600),
        ("max-age=99999999999", 300),
        ("max-age=-1", 300),
        ("max-age=1.5", 300),
        ("s-maxage=120", 300),
        ("no-store, max-age=600", 60),
        ("no-cache", 60),
    ],
)
@pytest.mark.requirement("RFC 9111", "4.2.1", "the freshness lifetime of a response, from Cache-Control")
def test_freshness_is_what_the_host_says_within_the_callers_bounds(cache_control: str | None, freshness_s: int) -> None:
    assert find_freshness_s(cache_control, default_s=300, least_s=60, most_s=3600) == freshness_s
