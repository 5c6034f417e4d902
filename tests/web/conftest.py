"""What the pages' tests need beside the shared world: a server of one's own, on each database."""

from tests.databases import database_url as database_url
