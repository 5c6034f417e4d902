"""What `tokenhouse serve` checks before it binds a port or starts a worker, so that a fault is told once and early."""

from app.services.deployment import DeploymentError, check_identity
from app.services.seals import KekError, read_kek
from app.settings import Settings
from app.storage import schema
from app.storage.database import Database, DatabaseUnavailable
from app.storage.deployment import find_deployment


def check_deployment(settings: Settings) -> None:
    """Raises `DeploymentError` with the reason why no worker could start.

    Opens no signing key, because that costs more than the rest together: a worker still may find one that is broken.
    """
    try:
        database = Database(settings.database_url.get_secret_value(), pool_size=1)
    except DatabaseUnavailable as error:
        raise DeploymentError(f"the database cannot be used: {error}") from error
    try:
        _check(settings, database)
    except KekError as error:
        raise DeploymentError(str(error)) from error
    except schema.SchemaError as error:
        raise DeploymentError(f"{error} ({database!r})") from error
    except DatabaseUnavailable as error:
        raise DeploymentError(f"the database cannot be used: {error} ({database!r})") from error
    finally:
        # The supervisor forks: no connection may be open when it does.
        database.dispose()


def _check(settings: Settings, database: Database) -> None:
    with database.reading() as connection:
        schema.check_version(connection)
        schema.check_integrity(connection)
        row = find_deployment(connection)
    if row is None:
        raise DeploymentError("this database has not been initialised: run `tokenhouse init`")
    check_identity(settings, row)
    read_kek(settings.keys_dir, expected_fingerprint=row.kek_fingerprint)
