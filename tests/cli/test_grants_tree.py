"""`tokenhouse grants tree`: who holds what through whom, and what cutting a branch ends."""

from tests.actors.token_exchange import exchange, make_chain, make_exchanger, make_machine, try_exchange
from tests.cli.processes import CommandLine
from tests.world import World


def test_the_tree_shows_every_hand_and_a_cut_branch_takes_all_below_it_along(world: World) -> None:
    command_line, chain = CommandLine(world.environment), make_chain(world)
    printer = make_exchanger(world, introspects=[chain.prints], token_exchange_audiences=[chain.prints])
    token = chain.get_token()
    halfway = exchange(chain.library, token, resource=chain.prints)
    last = exchange(printer, halfway)
    narrowed = exchange(chain.backend, token, scope="photos.read")

    (root,) = command_line.json("grants", "tree", chain.account.username)
    assert (root["client_id"], root["parent"]) == (chain.shop.client_id, None)
    assert set(root) == {
        "grant_id",
        "sub",
        "client_id",
        "scope",
        "resource",
        "created_at",
        "expires_at",
        "parent",
        "children",
    }
    children = {child["client_id"]: child for child in root["children"]}
    assert set(children) == {chain.library.client_id, chain.shop.client_id}
    branch = children[chain.library.client_id]
    assert (branch["scope"], branch["resource"], branch["parent"]) == ("prints.read", [chain.prints], root["grant_id"])
    (leaf,) = branch["children"]
    assert (leaf["client_id"], leaf["parent"], leaf["children"]) == (printer.client_id, branch["grant_id"], [])
    assert {grant["sub"] for grant in (root, branch, leaf)} == {chain.account.sub}

    lines = command_line("grants", "tree", chain.account.sub).stdout.splitlines()
    (root_line,) = [line for line in lines if root["grant_id"] in line]
    starts = [
        next(line.index(each["client_id"]) for line in lines if each["grant_id"] in line)
        for each in (root, branch, leaf)
    ]
    assert starts == sorted(set(starts)), "each hand stands further in than the one before it"
    assert "photos.read" in root_line
    assert chain.photos in root_line

    command_line.json("grants", "revoke", branch["grant_id"])
    (root,) = command_line.json("grants", "tree", chain.account.username)
    assert [child["client_id"] for child in root["children"]] == [chain.shop.client_id]
    for client, cut in ((printer, last), (printer, halfway)):
        assert try_exchange(client, cut).json()["error"] == "invalid_request"
    assert exchange(chain.backend, narrowed)
    assert exchange(chain.library, token, resource=chain.prints)


def test_a_machine_is_the_root_of_what_was_exchanged_for_its_tokens(world: World) -> None:
    command_line, chain = CommandLine(world.environment), make_chain(world)
    job = world.operator.add_client(
        grant_types=["client_credentials"], redirect_uris=[], policy={"resources": [chain.photos]}
    )
    machine = make_machine(world, job)
    printer = make_exchanger(world, introspects=[chain.prints], token_exchange_audiences=[chain.prints])
    exchange(printer, exchange(chain.library, machine.get_token().access_token, resource=chain.prints))
    (branch,) = command_line.json("grants", "tree", machine.client_id)
    assert (branch["sub"], branch["client_id"]) == (machine.client_id, chain.library.client_id)
    assert [child["client_id"] for child in branch["children"]] == [printer.client_id]


def test_nobody_has_no_tree(world: World) -> None:
    command_line = CommandLine(world.environment)
    assert command_line.refusal("grants", "tree", "nobody-of-that-name")["error"] == "unknown_user"
    assert command_line.json("grants", "tree", world.operator.add_user().username) == []
