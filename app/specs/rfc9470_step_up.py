"""RFC 9470 - OAuth 2.0 Step Up Authentication Challenge: a resource that wants a stronger or a fresher login."""

from collections.abc import Sequence

from .protocol_error import InsufficientUserAuthentication


def check_authentication(
    *,
    acr: str | None,
    auth_time_s: int | None,
    acr_values: Sequence[str],
    max_age_s: int | None,
    now_s: float,
    leeway_s: float = 10,
) -> None:
    """Raises InsufficientUserAuthentication unless the login behind a token is one of `acr_values` and fresh enough.

    `acr` and `auth_time_s` are the token's (RFC 9068 2.2.1); where it does not say, it is not enough. No values and
    None ask for nothing. Does **not** know an order of acr values: name every one that is acceptable.
    """
    if acr_values and acr not in acr_values:
        raise InsufficientUserAuthentication("a different authentication level is required")
    if max_age_s is not None and (auth_time_s is None or now_s - auth_time_s > max_age_s + leeway_s):
        raise InsufficientUserAuthentication("more recent authentication is required")


def challenge_parameters(*, acr_values: Sequence[str], max_age_s: int | None) -> dict[str, str]:
    """Returns what WWW-Authenticate names beside the error (section 3), in order of preference."""
    parameters = {"acr_values": " ".join(acr_values)} if acr_values else {}
    if max_age_s is not None:
        parameters["max_age"] = str(max_age_s)
    return parameters
