"""What the pages' tests need beside the shared world: a server of one's own, on each database."""

from tests.databases import migrated_database

database_url = migrated_database
