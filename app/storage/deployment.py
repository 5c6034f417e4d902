"""The deployment's own row, written once by `tokenhouse init`."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select

from app.storage.conflicts import refusing_duplicates
from app.storage.tables import deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """Who this database belongs to, and what was decided when it was made."""

    issuer: str
    rp_id: str
    acr_pwd: str
    acr_mfa: str
    acr_phr: str
    kek_fingerprint: str
    argon2_time_cost: int
    argon2_memory_kib: int
    argon2_parallelism: int
    created_at: int


def find_deployment(connection: Connection) -> DeploymentRow | None:
    """The row, or None before `tokenhouse init`."""
    columns = [column for column in deployment.c if column.name != "id"]
    row = connection.execute(select(*columns)).mappings().first()
    return None if row is None else DeploymentRow(**row)


def insert_deployment(connection: Connection, row: DeploymentRow) -> None:
    """Write the row. Raises `AlreadyTaken` for a second one."""
    with refusing_duplicates():
        connection.execute(insert(deployment).values(id=1, **asdict(row)))
