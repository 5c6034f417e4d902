"""The one-time passwords of authenticator apps."""

import pytest

from app.specs.rfc6238_totp import find_step, make_code, otpauth_uri, parse_code, secret_text, step_of

# RFC 6238, appendix B: the secret of its test vectors, and the last six digits of its SHA-1 values.
SECRET = b"12345678901234567890"
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]


@pytest.mark.parametrize(("now_s", "code"), VECTORS)
@pytest.mark.requirement("RFC 6238", "4.2", "TOTP = HOTP(K, T), with T = (current time - T0) / X")
def test_a_code_is_the_one_of_the_published_vectors(now_s: int, code: str) -> None:
    assert make_code(SECRET, step_of(now_s)) == code
    assert find_step(SECRET, code, now_s=now_s) == step_of(now_s)


@pytest.mark.requirement("RFC 6238", "5.2", "at most one time step is allowed as the network delay")
@pytest.mark.parametrize(("late_s", "is_taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_of_the_step_before_or_after_is_taken_and_no_other(late_s: int, is_taken: bool) -> None:
    now_s = 1234567890
    code = make_code(SECRET, step_of(now_s))
    assert (find_step(SECRET, code, now_s=now_s + late_s) is not None) is is_taken


def test_the_step_that_is_found_is_the_code_s_own() -> None:
    now_s = 1234567890
    assert find_step(SECRET, make_code(SECRET, step_of(now_s) + 1), now_s=now_s) == step_of(now_s) + 1


@pytest.mark.parametrize("typed", ["123456", " 123 456 ", "123\u00a0456"])
def test_spaces_in_a_code_do_not_matter(typed: str) -> None:
    assert parse_code(typed) == "123456"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "1" * 100_000])
def test_what_is_no_code_is_none(typed: str) -> None:
    assert parse_code(typed) is None


def test_the_uri_says_to_an_app_what_it_must_know() -> None:
    uri = otpauth_uri(SECRET, issuer="Meadow: Accounts", account="anna+x@example.com")
    assert uri == (
        "otpauth://totp/Meadow%20%20Accounts:anna%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&issuer=Meadow%20%20Accounts&algorithm=SHA1&digits=6&period=30"
    )
    assert secret_text(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
