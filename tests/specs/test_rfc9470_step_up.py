import pytest

from app.specs.protocol_error import InsufficientUserAuthentication
from app.specs.rfc9470_step_up import challenge_parameters, check_authentication

NOW_S = 1_800_000_000


@pytest.mark.requirement("RFC 9470", "3", "an authentication that is one of acr_values and not older than max_age")
@pytest.mark.parametrize(
    ("acr", "auth_time_s", "acr_values", "max_age_s", "reason"),
    [
        (None, None, (), None, None),
        ("pwd", None, (), None, None),
        ("mfa", None, ("mfa", "phr"), None, None),
        ("pwd", NOW_S, ("mfa", "phr"), 60, "different authentication level"),
        ("mf", NOW_S, ("mfa",), 60, "different authentication level"),
        (None, NOW_S, ("mfa",), None, "different authentication level"),
        (None, NOW_S - 70, (), 60, None),
        (None, NOW_S - 71, (), 60, "more recent authentication"),
        (None, None, (), 60, "more recent authentication"),
        (None, NOW_S - 10, (), 0, None),
        (None, NOW_S - 11, (), 0, "more recent authentication"),
    ],
)
def test_a_login_is_enough_or_not(
    acr: str | None, auth_time_s: int | None, acr_values: tuple[str, ...], max_age_s: int | None, reason: str | None
) -> None:
    def check() -> None:
        check_authentication(
            acr=acr, auth_time_s=auth_time_s, acr_values=acr_values, max_age_s=max_age_s, now_s=NOW_S, leeway_s=10
        )

    if reason is None:
        check()
        return
    with pytest.raises(InsufficientUserAuthentication, match=reason) as refusal:
        check()
    assert (refusal.value.error, refusal.value.status) == ("insufficient_user_authentication", 401)


def test_the_challenge_names_what_would_be_enough() -> None:
    assert challenge_parameters(acr_values=("mfa", "phr"), max_age_s=0) == {"acr_values": "mfa phr", "max_age": "0"}
    assert challenge_parameters(acr_values=(), max_age_s=None) == {}
