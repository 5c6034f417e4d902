"""Pairwise subjects, clients that come by themselves, logout, and an outbox.

Only expands: every new column may be empty, so a program written for the second schema goes on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003_since_0002"
down_revision = "0002_since_0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.BigInteger

_TABLES = (
    "pairwise_subjects",
    "initial_access_tokens",
    "registration_tokens",
    "client_metadata_documents",
    "logout_requests",
    "outbox",
)


def upgrade() -> None:
    """What OpenID Connect asks for beyond the code flow."""
    op.create_table(
        "pairwise_subjects",
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("sector", sa.Text, primary_key=True),
        sa.Column("sub", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.add_column("browsers", sa.Column("browser_state", sa.Text))
    op.add_column("session_clients", sa.Column("last_used_at", _TIME))
    op.create_table(
        "initial_access_tokens",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("max_uses", sa.Integer, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
    )
    op.add_column("clients", sa.Column("origin", sa.Text))
    op.add_column(
        "clients",
        sa.Column("initial_access_token_id", _ROW_ID, sa.ForeignKey("initial_access_tokens.id")),
        inline_references=True,
    )
    op.add_column("clients", sa.Column("last_used_at", _TIME))
    op.create_index("ix_clients_initial_access_token_id", "clients", ["initial_access_token_id"])
    where = sa.text("origin IS NOT NULL AND removed_at IS NULL")
    op.create_index("ix_clients_last_used_at", "clients", ["last_used_at"], postgresql_where=where, sqlite_where=where)
    op.add_column("client_secrets", sa.Column("sealed_secret", sa.LargeBinary))
    op.create_table(
        "registration_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
    )
    op.create_table(
        "client_metadata_documents",
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), primary_key=True, autoincrement=False),
        sa.Column("document_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("fetched_at", _TIME, nullable=False),
        sa.Column("fresh_until", _TIME, nullable=False),
    )
    op.add_column("consents", sa.Column("client_identity_digest", sa.LargeBinary(32)))
    op.create_table(
        "logout_requests",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), index=True),
        sa.Column("recipient", sa.Text, nullable=False, index=True),
        sa.Column("sealed_body", sa.LargeBinary, nullable=False),
        sa.Column("seal_key_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("claimed_until", _TIME),
        sa.Column("last_error", sa.Text),
        sa.Column("dead_at", _TIME, index=True),
    )
    op.create_index("ix_outbox_next_attempt_at", "outbox", ["next_attempt_at"])


def downgrade() -> None:
    """What the second schema had."""
    with op.batch_alter_table("consents") as consents:
        consents.drop_column("client_identity_digest")
    with op.batch_alter_table("client_secrets") as client_secrets:
        client_secrets.drop_column("sealed_secret")
    op.drop_index("ix_clients_last_used_at", "clients")
    op.drop_index("ix_clients_initial_access_token_id", "clients")
    with op.batch_alter_table("clients") as clients:
        clients.drop_column("last_used_at")
        clients.drop_column("initial_access_token_id")
        clients.drop_column("origin")
    with op.batch_alter_table("session_clients") as session_clients:
        session_clients.drop_column("last_used_at")
    with op.batch_alter_table("browsers") as browsers:
        browsers.drop_column("browser_state")
    for table in reversed(_TABLES):
        op.drop_table(table)
