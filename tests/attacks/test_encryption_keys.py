"""The keys that clients encrypt to: replaced without anybody's request being lost, and gone when they are revoked."""

from typing import Any

import pytest
from sqlalchemy import delete

from app.services.manage_keys import list_keys, revoke_signing_key, rotate_keys_now
from app.specs.rfc7516_jwe import encrypt_jwe
from app.specs.rfc7517_jwk import import_encryption_jwk
from app.storage.signing_keys import DECRYPTION_ALGORITHMS, list_signing_keys
from app.storage.tables import signing_keys
from tests.actors.http import send
from tests.actors.request_object import Requester
from tests.patience import wait_until
from tests.world import World


def read_keys(world: World) -> list[dict[str, Any]]:
    """What is published to encrypt to."""
    keys: list[dict[str, Any]] = send(f"{world.url}/jwks").json()["keys"]
    return [key for key in keys if key["use"] == "enc"]


def wait_until_published(world: World) -> None:
    """Until the server has noticed what was done to the keys in the database last."""
    listed = {key.kid for key in list_keys(world.operator.deployment)}
    wait_until(lambda: {key["kid"] for key in send(f"{world.url}/jwks").json()["keys"]} == listed)


@pytest.mark.requirement("OpenID Connect Core 1.0", "10.2.1", "a replaced encryption key still decrypts for a while")
def test_a_retired_encryption_key_opens_what_comes_late_and_a_revoked_one_does_not(world: World) -> None:
    requester = Requester(world)

    def arrives_encrypted_to(jwk: dict[str, Any]) -> bool:
        _, claims = requester.begin()
        key = import_encryption_jwk(jwk)
        raw = encrypt_jwe(requester.key.sign(claims).encode(), key, alg=jwk["alg"], enc="A256GCM")
        reply = requester.send(raw, beside={"redirect_uri": requester.party.redirect_uri})
        return "/login?" in reply.location

    wait_until_published(world)
    old = read_keys(world)
    rotate_keys_now(world.operator.deployment)
    wait_until_published(world)
    assert not {jwk["kid"] for jwk in read_keys(world)} & {jwk["kid"] for jwk in old}
    assert [arrives_encrypted_to(jwk) for jwk in old] == [True, True]
    new = next(jwk for jwk in read_keys(world) if jwk["alg"] == "ECDH-ES")
    assert arrives_encrypted_to(new)
    revoke_signing_key(world.operator.deployment, new["kid"])
    wait_until_published(world)
    assert not arrives_encrypted_to(new)
    assert sorted(jwk["alg"] for jwk in read_keys(world)) == ["ECDH-ES", "RSA-OAEP-256"]


def test_old_keys_that_decrypt_leave_in_time(world: World) -> None:
    deployment = world.operator.deployment
    wait_until_published(world)
    old = {jwk["kid"] for jwk in read_keys(world)}
    rotate_keys_now(deployment)
    assert old <= {key.kid for key in deployment.keys.decryption}
    world.clock.move(seconds=86_400 + 601)
    deployment.rotate_keys_if_due()
    with deployment.database.reading() as connection:
        rows = {row.kid: row for row in list_signing_keys(connection)}
    assert {(rows[kid].state, rows[kid].sealed_private_jwk) for kid in old} == {("removed", None)}


def test_a_deployment_from_before_there_were_any_gets_its_keys(world: World) -> None:
    deployment = world.operator.deployment
    forget = delete(signing_keys).where(signing_keys.c.alg.in_(DECRYPTION_ALGORITHMS))
    deployment.database.transact(lambda connection: connection.execute(forget))
    deployment.rotate_keys_if_due()
    wait_until_published(world)
    assert sorted(jwk["alg"] for jwk in read_keys(world)) == ["ECDH-ES", "RSA-OAEP-256"]
