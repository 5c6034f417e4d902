"""People as the operator manages them: rules that the command line shows and the database keeps."""

import secrets
from typing import Any

import pytest

from app.services import manage_users
from app.services.list_audit import AuditEvent, list_audit
from app.services.manage_users import NewUser, User
from app.services.refusal import Refusal
from app.storage.changes import read_versions
from app.storage.users import find_user_by_sub
from tests.deployments import PASSWORD, Operator
from tests.operators import operator as operator


def new_name() -> str:
    return f"user-{secrets.token_hex(4)}"


def add(operator: Operator, **properties: Any) -> User:
    name = properties.pop("username", None) or new_name()
    values = {"email": f"{secrets.token_hex(4)}@example.com", "password": PASSWORD, **properties}
    return manage_users.add_user(operator.deployment, NewUser(username=name, **values))


def last_event(operator: Operator, sub: str) -> AuditEvent:
    return list_audit(operator.deployment, limit=1, sub=sub)[0]


def users_version(operator: Operator) -> int:
    with operator.deployment.database.reading() as connection:
        return read_versions(connection).get("users", 0)


def test_a_subject_is_random_and_looks_like_nothing_else(operator: Operator) -> None:
    subs = {add(operator).sub for _ in range(3)}
    assert len(subs) == 3
    assert all(len(sub) == 27 and sub.startswith("u") and sub.isalnum() and sub.islower() for sub in subs)


def test_two_spellings_of_one_name_are_one_person(operator: Operator) -> None:
    user = add(operator, username=f"Straße-{secrets.token_hex(3)}")
    folded = user.username.upper()
    assert manage_users.show_user(operator.deployment, folded) == user
    with pytest.raises(Refusal) as refused:
        add(operator, username=folded)
    assert refused.value.error == "user_exists"


@pytest.mark.parametrize(
    "name", ["", " ada", "ada ", "a\x00b", "a\nb", "a\u202eb", "a\u200bb", "x" * 201, "u" + "a" * 26, "U" + "A" * 26]
)
def test_a_name_that_deceives_is_refused(operator: Operator, name: str) -> None:
    user = NewUser(username=name, email="a@example.com", password=PASSWORD)
    with pytest.raises(Refusal, match="username"):
        manage_users.add_user(operator.deployment, user)


@pytest.mark.parametrize("password", ["x" * 11, "x" * 1025, "x" * 11 + "\0", "x" * 11 + "\ud800"])
def test_a_password_outside_the_policy_is_refused(operator: Operator, password: str) -> None:
    with pytest.raises(Refusal, match="password"):
        add(operator, password=password)


@pytest.mark.parametrize("password", ["x" * 12, "x" * 1024, "пароль из слов", "a b c d e f g 🙂"])
def test_a_long_enough_password_of_any_script_is_taken_and_verifies(operator: Operator, password: str) -> None:
    user = add(operator, password=password)
    with operator.deployment.database.reading() as connection:
        row = find_user_by_sub(connection, user.sub)
    assert row is not None
    assert operator.deployment.passwords.verify(row.password_hash, password)


def test_the_claims_hold_what_scopes_release(operator: Operator) -> None:
    user = add(operator, claims={"name": "Ada"}, email="ada@example.com")
    assert dict(user.claims) == {
        "name": "Ada",
        "email": "ada@example.com",
        "email_verified": False,
        "preferred_username": user.username,
        "updated_at": user.claims["updated_at"],
    }


def test_claims_that_name_another_address_are_refused(operator: Operator) -> None:
    with pytest.raises(Refusal, match="email"):
        add(operator, email="ada@example.com", claims={"email": "eve@example.com"})


def test_a_verified_address_belongs_to_one_person(operator: Operator) -> None:
    email = f"{secrets.token_hex(4)}@Example.com"
    add(operator, email=email, claims={"email_verified": True})
    with pytest.raises(Refusal) as refused:
        add(operator, email=email.lower(), claims={"email_verified": True})
    assert refused.value.error == "email_exists"
    unverified = add(operator, email=email)
    with pytest.raises(Refusal):
        manage_users.set_user(operator.deployment, unverified.username, claims={"email_verified": True})


def test_a_new_address_is_unverified_and_the_other_claims_stay(operator: Operator) -> None:
    user = add(operator, claims={"email_verified": True, "name": "Ada"})
    changed = manage_users.set_user(operator.deployment, user.username, email="new@example.org")
    assert changed.email == changed.claims["email"] == "new@example.org"
    assert changed.claims["email_verified"] is False
    assert changed.claims["name"] == "Ada"


def test_the_same_address_again_stays_verified(operator: Operator) -> None:
    user = add(operator, claims={"email_verified": True})
    changed = manage_users.set_user(operator.deployment, user.username, email=user.email)
    assert changed.claims["email_verified"] is True


def test_disabling_twice_keeps_the_first_time_and_enabling_opens_again(operator: Operator) -> None:
    user = add(operator)
    assert manage_users.disable_user(operator.deployment, user.sub).disabled
    assert manage_users.disable_user(operator.deployment, user.sub).disabled
    assert not manage_users.enable_user(operator.deployment, user.sub).disabled


@pytest.mark.parametrize("verb", ["show_user", "disable_user", "enable_user"])
def test_an_unknown_person_is_a_refusal_and_changes_nothing(operator: Operator, verb: str) -> None:
    before = users_version(operator)
    with pytest.raises(Refusal) as refused:
        getattr(manage_users, verb)(operator.deployment, "nobody")
    assert refused.value.error == "unknown_user"
    assert users_version(operator) == before


def test_every_change_is_announced_and_recorded_without_naming_anybody(operator: Operator) -> None:
    user = add(operator)
    changes = {
        "user.disabled": lambda: manage_users.disable_user(operator.deployment, user.username),
        "user.enabled": lambda: manage_users.enable_user(operator.deployment, user.username),
        "user.password_set": lambda: manage_users.set_password(operator.deployment, user.username, PASSWORD[::-1]),
        "user.changed": lambda: manage_users.set_user(operator.deployment, user.username, is_admin=True),
    }
    for event_type, change in changes.items():
        before = users_version(operator)
        change()
        assert users_version(operator) == before + 1, event_type
        events = [event.type for event in list_audit(operator.deployment, sub=user.sub)]
        assert event_type in events
    for event in list_audit(operator.deployment, sub=user.sub):
        assert event.actor == "operator"
        assert user.username not in str(event.body)
        assert user.email not in str(event.body)
