"""Every artefact at every consumer: each is good for what it was made for, and for nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from app.services.send_logout_token import sign_logout_token
from app.specs.protocol_error import InvalidToken, TemporarilyUnavailable
from app.specs.rfc7662_introspection import MEDIA_TYPE
from app.specs.rfc8693_token_exchange import GRANT_TYPE
from app.verifier import AccessTokenVerifier
from app.verifier.status_lists import FetchedList
from tests.actors.dpop_key import DpopKey
from tests.actors.http import Reply, send
from tests.actors.machine import Machine
from tests.actors.relying_party import Pending
from tests.actors.token_exchange import Chain, make_chain, try_exchange
from tests.attacks.good_conduct import nothing_changes
from tests.databases import on_sqlite
from tests.verifier.issuer import SigningKey
from tests.world import World

GOODBYE = "https://shop.example/goodbye"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A chain, the request whose code is still unused, a machine, a token that is bound to a key and good at
    /userinfo, and a verifier of the first API.
    """

    world: World
    chain: Chain
    pending: Pending
    machine: Machine
    good_token: str
    bound_userinfo_token: str
    verifier: AccessTokenVerifier


@dataclass(frozen=True, slots=True)
class OneList:
    """Answers whoever fetches a status list with this."""

    answer: str

    def fetch_list(self, uri: str, *, etag: str | None) -> FetchedList:  # noqa: ARG002 - one answer
        return FetchedList(unverified_list=self.answer, etag=None)

    def fetch_list_uris(self, aggregation_uri: str) -> tuple[str, ...]:  # noqa: ARG002 - one answer
        return ()


def make_stage(world: World) -> tuple[Stage, dict[str, str]]:
    """Everything that somebody could mistake for something else, all of it fresh and genuine."""
    chain = make_chain(
        world, grant_types=["authorization_code", "refresh_token", GRANT_TYPE], post_logout_redirect_uris=[GOODBYE]
    )
    shop, account = chain.shop, chain.account
    tokens = world.get_tokens(shop, account, scope="openid offline_access photos.read", resource=chain.photos)
    opened = world.get_tokens(shop, account, scope="openid")
    reader = world.relying_party(userinfo_signed_response_alg="ES256", post_logout_redirect_uris=[GOODBYE])
    signed_userinfo = reader.userinfo(world.get_tokens(reader, account).access_token)
    code, pending = world.get_code(shop, account, scope="openid photos.read", resource=chain.photos)
    assert tokens.refresh_token is not None
    assert tokens.id_token is not None
    claims = tokens.claims
    key = DpopKey()

    def get_bound_token(**wanted: str) -> str:
        # Of another client: nobody here has its key, and it is not ours to revoke.
        party = world.relying_party(token_endpoint_auth_method="none")
        proof = key.prove("POST", f"{world.issuer}/token", now_ms=world.clock())
        reply = party.try_exchange(*world.get_code(party, account, **wanted), headers={"DPoP": proof})
        assert reply.status == 200, reply.text
        token: str = reply.json()["access_token"]
        return token

    opaque_api = world.operator.add_resource(access_token_format="opaque")
    opaque = world.get_tokens(shop, account, scope="openid photos.read", resource=opaque_api)
    introspection = chain.library.post("/introspect", headers={"Accept": MEDIA_TYPE}, token=tokens.access_token)
    status_uri = claims["status"]["status_list"]["uri"].replace(world.issuer, world.url, 1)
    artefacts = {
        "access token": tokens.access_token,
        "userinfo token": opened.access_token,
        "opaque access token": opaque.access_token,
        "bound access token": get_bound_token(scope="openid photos.read", resource=chain.photos),
        "ID token": tokens.id_token,
        "refresh token": tokens.refresh_token,
        "code": code,
        "status list": send(status_uri).text,
        "introspection response": introspection.text,
        "signed userinfo": signed_userinfo.text,
        "logout token": sign_logout_token(
            world.operator.deployment,
            client_id=shop.client_id,
            subject=account.sub,
            sid=opened.id_claims["sid"],
            alg="RS256",
        ),
        "client assertion": SigningKey().sign(assertion_of(world, chain), typ="JWT"),
        "DPoP proof": key.prove("POST", f"{world.issuer}/token", now_ms=world.clock()),
        "another issuer's token": SigningKey().sign({**claims, "iss": "https://other.example"}),
        "another signer's token": SigningKey().sign(claims),
    }
    for name in ("status list", "introspection response", "signed userinfo"):
        assert artefacts[name].count(".") == 2, artefacts[name][:200]
    stage = Stage(
        world=world,
        chain=chain,
        pending=pending,
        machine=world.machine(policy={"resources": [chain.photos]}),
        good_token=tokens.access_token,
        bound_userinfo_token=get_bound_token(scope="openid"),
        verifier=make_verifier(world, chain, ignore_status=True),
    )
    return stage, artefacts


def make_verifier(world: World, chain: Chain, **options: Any) -> AccessTokenVerifier:
    return AccessTokenVerifier(
        issuer=world.issuer,
        audience=chain.photos,
        keys=send(f"{world.url}/jwks").json(),
        clock=lambda: world.clock() / 1000,
        background=False,
        **options,
    )


def assertion_of(world: World, chain: Chain) -> dict[str, Any]:
    """RFC 7523 3."""
    now_s, client_id = world.clock() // 1000, chain.shop.client_id
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": world.issuer,
        "iat": now_s,
        "exp": now_s + 60,
        "jti": "assertion-1",
    }


def is_good(reply: Reply, *refusals: int) -> bool:
    """Whether it was taken; a refusal must be a readable one."""
    if reply.status != 200:
        assert reply.status in (refusals or (400, 401)), (reply.status, reply.text)
        assert "access_token" not in reply.text
    return reply.status == 200


def ask_verifier(stage: Stage, artefact: str) -> bool:
    try:
        stage.verifier.verify(artefact)
    except InvalidToken:
        return False
    return True


def ask_status_list_of_verifier(stage: Stage, artefact: str) -> bool:
    """As what comes when a verifier asks for the list that a good token names."""
    verifier = make_verifier(stage.world, stage.chain, status_list_source=OneList(artefact))
    try:
        verifier.verify(stage.good_token)
    except TemporarilyUnavailable:
        return False
    return True


def ask_proof_at_token(stage: Stage, artefact: str) -> bool:
    wanted = {"grant_type": "client_credentials", "scope": "photos.read", "resource": stage.chain.photos}
    return is_good(stage.machine.post("/token", headers={"DPoP": artefact}, **wanted))


def ask_proof_at_userinfo(stage: Stage, artefact: str) -> bool:
    headers = {"Authorization": f"DPoP {stage.bound_userinfo_token}", "DPoP": artefact}
    return is_good(send(f"{stage.world.url}/userinfo", headers=headers), 401)


def ask_userinfo(stage: Stage, artefact: str) -> bool:
    return is_good(send(f"{stage.world.url}/userinfo", headers={"Authorization": f"Bearer {artefact}"}), 401)


def ask_introspection(stage: Stage, artefact: str) -> bool:
    reply = stage.chain.backend.introspect(artefact)
    assert reply.status == 200
    active: bool = reply.json()["active"]
    return active


def ask_exchange(stage: Stage, artefact: str) -> bool:
    return is_good(try_exchange(stage.chain.library, artefact, resource=stage.chain.prints))


def ask_client_assertion(stage: Stage, artefact: str) -> bool:
    form = {"grant_type": "authorization_code", "code": "x", "client_id": stage.chain.shop.client_id}
    form |= {"client_assertion": artefact, "client_assertion_type": BEARER}
    return is_good(send(f"{stage.world.url}/token", method="POST", form=form))


def ask_client_secret(stage: Stage, artefact: str) -> bool:
    backend = stage.chain.backend
    form = {"grant_type": "authorization_code", "code": "x", "client_id": backend.client_id, "client_secret": artefact}
    return is_good(send(f"{stage.world.url}/token", method="POST", form=form))


def ask_refresh(stage: Stage, artefact: str) -> bool:
    return is_good(stage.chain.backend.post("/token", grant_type="refresh_token", refresh_token=artefact))


def ask_logout(stage: Stage, artefact: str) -> bool:
    """As the hint of whoever is logged in nowhere; junk is no proof, so no address is obeyed beside it."""
    query = urlencode({"id_token_hint": artefact, "post_logout_redirect_uri": GOODBYE})
    reply = send(f"{stage.world.url}/logout?{query}")
    assert reply.status == 303
    return reply.location == GOODBYE


def ask_code(stage: Stage, artefact: str) -> bool:
    return is_good(stage.chain.shop.try_exchange(artefact, stage.pending))


# What each consumer takes. Those that spend something come last.
CONSUMERS: tuple[tuple[Callable[[Stage, str], bool], frozenset[str]], ...] = (
    (ask_verifier, frozenset({"access token"})),
    (ask_userinfo, frozenset({"userinfo token"})),
    (ask_introspection, frozenset({"access token", "userinfo token", "opaque access token", "refresh token"})),
    (ask_client_assertion, frozenset()),
    (ask_client_secret, frozenset()),
    (ask_status_list_of_verifier, frozenset({"status list"})),
    (ask_proof_at_userinfo, frozenset()),
    (ask_proof_at_token, frozenset({"DPoP proof"})),
    (ask_exchange, frozenset({"access token"})),
    (ask_logout, frozenset({"ID token"})),
    (ask_refresh, frozenset({"refresh token"})),
    (ask_code, frozenset({"code"})),
)
TOKENS = frozenset({"access token", "userinfo token", "opaque access token", "refresh token"})


@on_sqlite
def test_every_artefact_is_refused_by_every_consumer_but_its_own(world: World) -> None:
    stage, artefacts = make_stage(world)
    mistaken = []
    for consumer, accepted in CONSUMERS:
        with nothing_changes(world):
            mistaken += [
                (name, consumer.__name__)
                for name, artefact in artefacts.items()
                if name not in accepted and consumer(stage, artefact)
            ]
    assert mistaken == []
    # Revocation tells nobody anything; what is no token of the client's is left as it is.
    with nothing_changes(world):
        replies = [stage.chain.backend.revoke(artefacts[name]) for name in artefacts.keys() - TOKENS]
    assert {reply.status for reply in replies} == {200}
    # All of them were alive the whole time.
    refused = [
        (name, consumer.__name__)
        for consumer, accepted in CONSUMERS
        for name in sorted(accepted)
        if not consumer(stage, artefacts[name])
    ]
    assert refused == []
