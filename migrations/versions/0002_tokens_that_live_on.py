"""Refresh tokens, opaque tokens, status lists, token exchange, and what may be used once.

Only expands: every new column may be empty, so a program written for the first schema goes on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_since_0001"
down_revision = "0001_since_0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.BigInteger

_TABLES = (
    "opaque_tokens",
    "refresh_tokens",
    "used_identifiers",
    "authorization_details_types",
    "status_lists",
    "status_blocks",
    "status_revocations",
    "leases",
)


def upgrade() -> None:
    """The columns and tables of tokens that are renewed, exchanged and revoked one by one."""
    op.add_column("grants", sa.Column("parent_jti", sa.LargeBinary(16)))
    op.add_column("grants", sa.Column("origin_client_pk", _ROW_ID, sa.ForeignKey("clients.id")), inline_references=True)
    op.add_column("grants", sa.Column("depth", sa.SmallInteger))
    op.create_index("ix_grants_parent_jti", "grants", ["parent_jti"])
    op.create_index("ix_grants_origin_client_pk", "grants", ["origin_client_pk"])
    op.add_column("access_tokens", sa.Column("status_list_pk", sa.BigInteger))
    op.add_column("access_tokens", sa.Column("status_index", sa.Integer))
    op.create_table(
        "opaque_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("jti", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), index=True),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False, index=True),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("jkt", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
        sa.Column("sealed_successor", sa.LargeBinary),
        sa.Column("retries", sa.SmallInteger, nullable=False),
    )
    op.create_index("ix_refresh_tokens_grant_id_generation", "refresh_tokens", ["grant_id", "generation"], unique=True)
    _create_partial_index("ix_refresh_tokens_sealed", "refresh_tokens", "used_at", where="sealed_successor IS NOT NULL")
    _create_partial_index("ix_grants_revoked_at", "grants", "revoked_at", where="revoked_at IS NOT NULL")
    op.create_table(
        "used_identifiers",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "authorization_details_types",
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "status_lists",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("list_id", sa.Text, nullable=False, unique=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("next_counter", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("expires_at", _TIME, index=True),
    )
    op.create_table(
        "status_blocks",
        sa.Column("status_list_pk", _ROW_ID, sa.ForeignKey("status_lists.id"), primary_key=True),
        sa.Column("first_counter", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), index=True),
        sa.Column("leased_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.Column("revoked_version", sa.BigInteger, index=True),
    )
    op.create_table(
        "status_revocations",
        sa.Column("status_list_pk", _ROW_ID, sa.ForeignKey("status_lists.id"), primary_key=True),
        sa.Column("status_index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revoked_at", _TIME, nullable=False),
        sa.Column("revoked_version", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )


def _create_partial_index(name: str, table: str, column: str, *, where: str) -> None:
    op.create_index(name, table, [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    """What the first schema had."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    with op.batch_alter_table("access_tokens") as access_tokens:
        access_tokens.drop_column("status_index")
        access_tokens.drop_column("status_list_pk")
    op.drop_index("ix_grants_revoked_at", "grants")
    op.drop_index("ix_grants_origin_client_pk", "grants")
    op.drop_index("ix_grants_parent_jti", "grants")
    with op.batch_alter_table("grants") as grants:
        grants.drop_column("depth")
        grants.drop_column("origin_client_pk")
        grants.drop_column("parent_jti")
