"""The first tables.

Constraints and indexes are named by the convention of `app.storage.tables`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001_since_0001"
down_revision = None

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Milliseconds UTC.
_TIME = sa.BigInteger

_TABLES = (
    "deployment",
    "changes",
    "sealed_keys",
    "signing_keys",
    "users",
    "browsers",
    "sessions",
    "authentication_events",
    "known_devices",
    "login_throttle",
    "clients",
    "session_clients",
    "client_secrets",
    "resources",
    "resource_identifiers",
    "authorization_transactions",
    "consents",
    "grants",
    "authorization_codes",
    "access_tokens",
    "audit_events",
)


def upgrade() -> None:
    """Every table, those that others refer to first."""
    op.create_table(
        "deployment",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("rp_id", sa.Text, nullable=False),
        sa.Column("acr_pwd", sa.Text, nullable=False),
        sa.Column("acr_mfa", sa.Text, nullable=False),
        sa.Column("acr_phr", sa.Text, nullable=False),
        sa.Column("kek_fingerprint", sa.Text, nullable=False),
        sa.Column("argon2_time_cost", sa.Integer, nullable=False),
        sa.Column("argon2_memory_kib", sa.Integer, nullable=False),
        sa.Column("argon2_parallelism", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "changes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sealed_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("kek_fingerprint", sa.Text, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("retired_at", _TIME),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("sealed_private_jwk", sa.LargeBinary),
        sa.Column("seal_key_id", sa.Text, nullable=False),
        sa.Column("published_at", _TIME, nullable=False),
        sa.Column("active_at", _TIME),
        sa.Column("retired_at", _TIME),
        sa.Column("removed_at", _TIME),
    )
    op.create_index("ix_signing_keys_alg_state", "signing_keys", ["alg", "state"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("sub", sa.Text, nullable=False, unique=True),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("username_key", sa.Text, nullable=False, unique=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("email_key", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME),
        sa.Column("sealed_audit_key", sa.LargeBinary),
        sa.Column("seal_key_id", sa.Text),
    )
    op.create_index("ix_users_email_key", "users", ["email_key"], unique=False)
    op.create_table(
        "browsers",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "sessions",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("browser_id", _ROW_ID, sa.ForeignKey("browsers.id"), nullable=False, index=True),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "authentication_events",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("session_id", _ROW_ID, sa.ForeignKey("sessions.id"), nullable=False, index=True),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table(
        "known_devices",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "login_throttle",
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("window_ends_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "clients",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("client_id_digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("security_profile", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME),
        sa.Column("removed_at", _TIME),
    )
    op.create_table(
        "session_clients",
        sa.Column("session_id", _ROW_ID, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), primary_key=True),
        sa.Column("sid", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "client_secrets",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
    )
    op.create_table(
        "resources",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("resource_name", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "resource_identifiers",
        sa.Column("identifier_digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("resource_pk", _ROW_ID, sa.ForeignKey("resources.id"), nullable=False, index=True),
    )
    op.create_table(
        "authorization_transactions",
        sa.Column("transaction_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("session_id", _ROW_ID, sa.ForeignKey("sessions.id")),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "consents",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False, index=True),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("details_digest", sa.LargeBinary(32)),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.UniqueConstraint("user_id", "client_pk", "resource", "scope"),
    )
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), index=True),
        sa.Column("client_pk", _ROW_ID, sa.ForeignKey("clients.id"), nullable=False, index=True),
        sa.Column("session_id", _ROW_ID, sa.ForeignKey("sessions.id"), index=True),
        sa.Column("parent_grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), index=True),
        sa.Column("snapshot", sa.Text, nullable=False),
        sa.Column("duration", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "authorization_codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), nullable=False, index=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "access_tokens",
        sa.Column("jti", sa.LargeBinary(16), primary_key=True),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), nullable=False, index=True),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "audit_events",
        sa.Column("event_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("at", _TIME, nullable=False, index=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("schema_version", sa.SmallInteger, nullable=False),
        sa.Column("sub", sa.Text),
        sa.Column("client_id", sa.Text),
        sa.Column("grant_id", sa.Text),
        sa.Column("incident", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("sealed_personal", sa.LargeBinary),
    )
    op.create_index("ix_audit_events_incident", "audit_events", ["incident"], unique=False)
    op.create_index("ix_audit_events_sub_at", "audit_events", ["sub", "at"], unique=False)


def downgrade() -> None:
    """No table."""
    for table in reversed(_TABLES):
        op.drop_table(table)
