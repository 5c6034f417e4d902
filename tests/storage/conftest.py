"""What every test of the storage needs."""

from tests.databases import database_url as database_url
