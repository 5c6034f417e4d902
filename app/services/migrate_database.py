"""The schema of a deployment's database, looked at and brought up to date; works before `tokenhouse init` too."""

from dataclasses import dataclass

from app.settings import Settings
from app.storage import migrate, schema
from app.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """The revision that the database has now, and those that were reached on the way."""

    revision: str
    reached: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaReport:
    """What was found, and the sentence that says what to do about it."""

    state: str
    revision: str | None
    latest: str
    differences: tuple[str, ...]
    sentence: str
    is_sound: bool


def upgrade_database(settings: Settings) -> Upgrade:
    """Run the missing migrations. Raises `SchemaError`, `DatabaseUnavailable`."""
    # On SQLite one connection writes, and stays; another reads.
    database = Database(settings.database_url.get_secret_value(), pool_size=2)
    try:
        reached = migrate.upgrade(database)
        with database.reading() as connection:
            revision = schema.find_revision(connection)
    finally:
        database.dispose()
    return Upgrade(revision=revision or "", reached=reached)


def check_database(settings: Settings) -> SchemaReport:
    """Compare revision and tables with what this program was written for. Raises `DatabaseUnavailable`."""
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        with database.reading() as connection:
            state = schema.read_state(connection)
            # Only at its own revision does the program know every table; a newer one may hold more.
            differences = migrate.find_differences(connection) if state.state == "current" else ()
    finally:
        database.dispose()
    sentence = state.explain()
    if differences:
        sentence = "the tables were changed by something else than the migrations: restore them from a backup"
    return SchemaReport(
        state=state.state,
        revision=state.revision,
        latest=migrate.latest_revision(),
        differences=differences,
        sentence=sentence,
        is_sound=state.is_served and not differences,
    )
