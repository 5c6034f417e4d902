"""What an account's page says of how somebody signed in."""

import pytest

from app.web.describe_event import describe_methods


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (("pwd",), "password"),
        (("pwd", "otp", "mfa"), "password, code"),
        (("pwd", "swk", "user", "mfa"), "password, passkey"),
        (("swk", "user", "mfa"), "passkey"),
        (("hwk", "user"), "passkey"),
        (("fed", "mfa"), "another provider"),
        (("fed", "otp", "mfa"), "another provider, code"),
        # Words that only another provider can have used are shown as it said them.
        (("fed", "kba"), "another provider, kba"),
    ],
)
def test_methods_are_told_in_words_that_are_true(methods: tuple[str, ...], words: str) -> None:
    assert describe_methods(methods) == words
