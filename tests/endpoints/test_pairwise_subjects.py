"""Pairwise subjects (OpenID Connect Core 8): case 89's second half, and what keeps two sectors from comparing notes."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services.pairwise_subjects import PairwiseSubjects
from app.services.subjects import find_user_of_subject, get_client_subject
from app.services.update_client import update_client
from app.storage.database import Database
from tests.actors.machine import Machine
from tests.actors.relying_party import RelyingParty, read_jwt
from tests.actors.token_exchange import exchange, make_chain, make_exchanger
from tests.deployments import Account
from tests.patience import wait_until
from tests.world import World


@pytest.fixture
def account(world: World) -> Account:
    return world.operator.add_user()


def pairwise_party(world: World, host: str | None = None, **metadata: object) -> RelyingParty:
    """A pairwise client; `host` is its sector."""
    host = host or f"{secrets.token_hex(6)}.example"
    members = {"redirect_uris": [f"https://{host}/callback"], "subject_type": "pairwise", **metadata}
    return world.relying_party(**members)


@pytest.mark.requirement("OpenID Connect Core 1.0", "8.1", "one sector, one subject; another sector, another subject")
def test_89_a_sector_knows_a_person_by_one_subject_and_nobody_else_by_that(world: World, account: Account) -> None:
    host = f"{secrets.token_hex(6)}.example"
    several = {"redirect_uris": ["https://a.example/cb", "https://b.example/cb"]}
    of_one_sector = (
        pairwise_party(world, host),
        pairwise_party(world, **several, sector_identifier_uri=f"https://{host}/uris.json"),
    )
    subjects = {world.get_tokens(party, account).id_claims["sub"] for party in of_one_sector}
    assert len(subjects) == 1
    other_sector = world.get_tokens(pairwise_party(world), account).id_claims["sub"]
    other_person = world.get_tokens(pairwise_party(world, host), world.operator.add_user()).id_claims["sub"]
    public = world.get_tokens(world.relying_party(), account).id_claims["sub"]
    assert len({*subjects, other_sector, other_person, public}) == 4
    assert public == account.sub


@pytest.mark.requirement("OpenID Connect Core 1.0", "5.3.2", "the sub of userinfo is exactly that of the ID token")
def test_89_it_is_the_same_in_every_artefact_and_for_ever(world: World, account: Account) -> None:
    api = world.operator.add_resource()
    party = pairwise_party(world, grant_types=["authorization_code", "refresh_token"])
    tokens = world.get_tokens(party, account)
    sub = tokens.id_claims["sub"]
    assert sub != account.sub
    assert tokens.claims["sub"] == sub, "the client reads this token: it is for userinfo"
    assert party.userinfo(tokens.access_token).json()["sub"] == sub
    refreshed = party.refresh(tokens.refresh_token)
    assert refreshed.id_claims["sub"] == sub
    again = world.get_tokens(party, account, scope="openid photos.read", resource=api)
    assert again.id_claims["sub"] == sub
    for token in (tokens.access_token, refreshed.refresh_token, again.access_token):
        answer = Machine.of(party).introspect(str(token)).json()
        assert answer["active"]
        assert answer["sub"] == sub


def test_a_client_that_moves_to_another_sector_does_not_hear_what_that_calls_the_person(
    world: World, account: Account
) -> None:
    theirs = f"{secrets.token_hex(6)}.example"
    told_there = world.get_tokens(pairwise_party(world, theirs), account).id_claims["sub"]
    party = pairwise_party(world, grant_types=["authorization_code", "refresh_token"])
    tokens = world.get_tokens(party, account)
    shown = world.operator.show_client(party.client_id).to_document()
    moved = {**shown, "redirect_uris": [f"https://{theirs}/callback"]}
    update_client(world.operator.deployment, party.client_id, moved)
    wait_until(lambda: world.browser().get(party.begin().url).status == 400)
    # A new answer is about the new sector; what was granted before speaks as it did.
    machine = Machine.of(party)
    party.redirect_uri = f"https://{theirs}/callback"
    assert world.get_tokens(party, account).id_claims["sub"] == told_there
    for token in (tokens.access_token, tokens.refresh_token):
        assert machine.introspect(str(token)).json()["sub"] == tokens.id_claims["sub"]


def test_a_pairwise_client_gets_no_token_that_it_could_read_a_public_subject_in(world: World, account: Account) -> None:
    api = world.operator.add_resource()
    server = world.api_server(api)
    tokens = world.get_tokens(pairwise_party(world), account, scope="openid photos.read", resource=api)
    assert tokens.access_token.startswith("th_at_")
    told = server.introspect(tokens.access_token).json()
    assert told["sub"] == account.sub, "the API is public: it knows the person by their own subject"


def test_an_api_that_is_pairwise_is_told_the_subject_of_its_sector(world: World, account: Account) -> None:
    sector = f"{secrets.token_hex(6)}.example"
    api = world.operator.add_resource(subject_type="pairwise", sector_identifier=sector)
    asked = {"scope": "openid photos.read", "resource": api}
    of_public_client = world.get_tokens(world.relying_party(), account, **asked)
    assert of_public_client.id_claims["sub"] == account.sub
    subject = of_public_client.claims["sub"]
    assert subject != account.sub
    # A client of the same sector knows the person by that subject anyway, so that it may read it.
    of_its_own = world.get_tokens(pairwise_party(world, sector), account, **asked)
    assert of_its_own.claims["sub"] == of_its_own.id_claims["sub"] == subject
    # To a client of another it would be the link between what two clients know.
    of_another = world.get_tokens(pairwise_party(world), account, **asked)
    assert of_another.access_token.startswith("th_at_")
    assert world.api_server(api).introspect(of_another.access_token).json()["sub"] == subject


def test_an_exchanged_token_names_the_person_as_its_new_audience_knows_them(world: World) -> None:
    chain = make_chain(world, subject_type="pairwise")
    sector = world.operator.add_resource(subject_type="pairwise")
    backend = make_exchanger(
        world, introspects=[chain.photos], token_exchange_audiences=[{"resource": sector, "scopes": ["photos.read"]}]
    )
    # The shop is pairwise, the photos public, the third one pairwise again.
    token = chain.get_token()
    assert token.startswith("th_at_")
    public = exchange(chain.library, token, resource=chain.prints)
    assert read_jwt(public)["sub"] == chain.account.sub
    pairwise = exchange(backend, token, resource=sector)
    # Who could read it would know the person in two sectors.
    assert pairwise.startswith("th_at_")
    told = world.api_server(sector).introspect(pairwise).json()
    assert told["sub"] not in (chain.account.sub, None)


def test_two_nodes_at_once_agree_on_one_subject(world: World) -> None:
    accounts = [world.operator.add_user() for _ in range(10)]
    url = world.environment["TOKENHOUSE_DATABASE_URL"]
    databases = [Database(url, pool_size=2) for _ in range(4)]
    nodes = [PairwiseSubjects(database, world.clock) for database in databases]
    with ThreadPoolExecutor(max_workers=4) as threads:
        for account in accounts:
            subjects = list(threads.map(lambda node, sub=account.sub: node.get(sub, "race.example"), nodes))
            assert len(set(subjects)) == 1
            assert [node.get(account.sub, "race.example") for node in nodes] == subjects
    for database in databases:
        database.dispose()


@pytest.mark.requirement("OpenID Connect Core 1.0", "8", "a subject is a client's own")
def test_only_the_sector_itself_finds_the_person_of_its_subject(world: World, account: Account) -> None:
    deployment = world.operator.deployment
    ours, theirs = pairwise_party(world), pairwise_party(world)
    public = world.relying_party()
    clients = [deployment.registry.find_client(party.client_id) for party in (ours, theirs, public)]
    our_client, their_client, public_client = (client for client in clients if client is not None)
    sub = get_client_subject(deployment, our_client, account.sub)
    found = find_user_of_subject(deployment, our_client, sub)
    assert found is not None
    assert found.sub == account.sub
    for client, subject in ((their_client, sub), (our_client, account.sub), (public_client, sub)):
        assert find_user_of_subject(deployment, client, subject) is None
    found = find_user_of_subject(deployment, public_client, account.sub)
    assert found is not None
