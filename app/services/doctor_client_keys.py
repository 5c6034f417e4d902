"""The doctor on the addresses of clients' keys: what cannot be fetched, and what is of no use.

Keys that clients registered inline were judged then; what lies at an address may be another thing every day.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from app.services.client_keys import KeySet, fetch_key_set
from app.services.client_registry import BrokenClient, Client, read_client
from app.services.fetch_document import DocumentFetcher, FetchError
from app.services.findings import Finding, warning
from app.settings import Settings
from app.specs.rfc7517_jwk import MIN_RSA_BITS
from app.storage import schema
from app.storage.clients import list_clients
from app.storage.database import Database, DatabaseUnavailable

MOST_ASKED: Final = 200
"""How many addresses are asked at most: the doctor has to come to an end, whatever hangs."""
_AT_ONCE: Final = 16


def examine_key_addresses(settings: Settings) -> Iterator[Finding]:
    """The `jwks_uri` of each client that an operator added, asked now.

    Says nothing where the database cannot be read: other checks do.
    """
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        with database.reading() as connection:
            rows = list_clients(connection) if schema.read_state(connection).is_served else ()
    except DatabaseUnavailable:
        return
    finally:
        database.dispose()
    clients = []
    for row in rows:
        try:
            client = read_client(row)
        except BrokenClient:
            continue
        if client.metadata.jwks_uri is not None and client.origin is None and not client.is_disabled:
            clients.append(client)
    if not clients:
        return
    fetcher = DocumentFetcher(
        allowed_networks=settings.outbound_allowed_networks, ca_bundle=settings.outbound_ca_bundle
    )
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for found in threads.map(lambda client: _ask(fetcher, client), clients[:MOST_ASKED]):
            yield from found


def _ask(fetcher: DocumentFetcher, client: Client) -> list[Finding]:
    check = f"client {client.client_id}"
    try:
        keys, _ = fetch_key_set(fetcher, client.metadata.jwks_uri or "")
    except FetchError as problem:
        return [warning(check, f"its keys at {client.metadata.jwks_uri} cannot be had: {problem.reason}")]
    return list(_examine_set(check, client, keys))


def _examine_set(check: str, client: Client, keys: KeySet) -> Iterator[Finding]:
    if client.metadata.token_endpoint_auth_method == "private_key_jwt" and not keys.verification:  # noqa: S105
        yield warning(check, f"none of its keys can be used, so that it cannot authenticate itself: {_WHAT_IS_USED}")


_WHAT_IS_USED = f"EC keys on P-256 are used, Ed25519, and RSA keys of {MIN_RSA_BITS} bits and more"
