"""Passkeys, second factors, links sent by mail, other providers, and what an account page shows.

Only expands: every new column may be empty, and what was demanded of a pending transaction is no longer, so a program
written for the third schema goes on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_since_0003"
down_revision = "0003_since_0002"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.BigInteger

_TABLES = (
    "passkeys",
    "totp_secrets",
    "recovery_codes",
    "email_links",
    "identity_providers",
    "identity_provider_domains",
    "linked_identities",
    "upstream_transactions",
    "upstream_sessions",
    "login_rates",
)
_COLUMNS = {
    "users": ("password_set_at", "deleted_at"),
    "sessions": ("sealed_device",),
    "consents": ("client_shown",),
    "login_throttle": ("blocked_until", "about"),
    "grants": ("narrowing", "last_used_at", "sealed_last_use"),
    "authorization_transactions": ("first_factor_methods", "first_factor_at", "second_factor_attempts"),
}


def upgrade() -> None:
    """Room for what a person signs in with, and for what they see of it."""
    op.add_column("users", sa.Column("password_set_at", _TIME))
    op.add_column("users", sa.Column("webauthn_user_handle", sa.LargeBinary(32)))
    op.add_column("users", sa.Column("deleted_at", _TIME))
    op.create_index("uq_users_webauthn_user_handle", "users", ["webauthn_user_handle"], unique=True)
    _create_factors()
    _create_providers()
    op.add_column("sessions", sa.Column("sealed_device", sa.LargeBinary))
    op.create_table(
        "upstream_sessions",
        sa.Column("session_id", _ROW_ID, sa.ForeignKey("sessions.id"), primary_key=True, autoincrement=False),
        sa.Column("provider_id", _ROW_ID, sa.ForeignKey("identity_providers.id"), nullable=False),
        sa.Column("subject_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("sid", sa.Text),
        sa.Column("sealed_id_token", sa.LargeBinary),
        sa.Column("seal_key_id", sa.Text),
    )
    op.create_index(
        "ix_upstream_sessions_provider_id_subject_digest", "upstream_sessions", ["provider_id", "subject_digest"]
    )
    op.create_index("ix_upstream_sessions_provider_id_sid", "upstream_sessions", ["provider_id", "sid"])
    op.add_column("consents", sa.Column("client_shown", sa.Text))
    op.add_column("login_throttle", sa.Column("blocked_until", _TIME))
    op.add_column("login_throttle", sa.Column("about", sa.LargeBinary(32)))
    op.create_index("ix_login_throttle_about", "login_throttle", ["about"])
    op.create_table(
        "login_rates",
        sa.Column("slot_began_at", _TIME, primary_key=True, autoincrement=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
    )
    op.add_column("grants", sa.Column("narrowing", sa.Text))
    op.add_column("grants", sa.Column("last_used_at", _TIME))
    op.add_column("grants", sa.Column("sealed_last_use", sa.LargeBinary))
    with op.batch_alter_table("authorization_transactions") as transactions:
        transactions.alter_column("client_pk", existing_type=_ROW_ID, nullable=True)
    op.add_column(
        "authorization_transactions",
        sa.Column("first_factor_user_id", _ROW_ID, sa.ForeignKey("users.id")),
        inline_references=True,
    )
    op.add_column("authorization_transactions", sa.Column("first_factor_methods", sa.Text))
    op.add_column("authorization_transactions", sa.Column("first_factor_at", _TIME))
    op.add_column("authorization_transactions", sa.Column("second_factor_attempts", sa.SmallInteger))


def _create_factors() -> None:
    op.create_table(
        "passkeys",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("credential_id_digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("transports", sa.Text, nullable=False),
        sa.Column("aaguid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_backup_eligible", sa.Boolean, nullable=False),
        sa.Column("is_backed_up", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
    )
    op.create_table(
        "totp_secrets",
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), primary_key=True, autoincrement=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("seal_key_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("last_used_step", sa.BigInteger),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "email_links",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), index=True),
        sa.Column("bound_digest", sa.LargeBinary(32)),
        sa.Column("sealed_body", sa.LargeBinary, nullable=False),
        sa.Column("seal_key_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
    )


def _create_providers() -> None:
    op.create_table(
        "identity_providers",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("sealed_client_secret", sa.LargeBinary),
        sa.Column("seal_key_id", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME),
    )
    op.create_table(
        "identity_provider_domains",
        sa.Column("domain", sa.Text, primary_key=True),
        sa.Column("provider_id", _ROW_ID, sa.ForeignKey("identity_providers.id"), nullable=False, index=True),
    )
    op.create_table(
        "linked_identities",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("provider_id", _ROW_ID, sa.ForeignKey("identity_providers.id"), nullable=False),
        sa.Column("subject_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("user_id", _ROW_ID, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
        sa.UniqueConstraint("provider_id", "subject_digest"),
    )
    op.create_table(
        "upstream_transactions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("digest_key_id", sa.Text, nullable=False),
        sa.Column("provider_id", _ROW_ID, sa.ForeignKey("identity_providers.id"), nullable=False, index=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("sealed_body", sa.LargeBinary, nullable=False),
        sa.Column("seal_key_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
        sa.Column("used_at", _TIME),
    )


def downgrade() -> None:
    """What the third schema had. Visits to pages of ours end: that schema knows only what clients ask."""
    op.execute("DELETE FROM authorization_transactions WHERE client_pk IS NULL")
    with op.batch_alter_table("authorization_transactions") as transactions:
        transactions.drop_column("first_factor_user_id")
        transactions.alter_column("client_pk", existing_type=_ROW_ID, nullable=False)
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.drop_index("uq_users_webauthn_user_handle", "users")
    op.drop_index("ix_login_throttle_about", "login_throttle")
    with op.batch_alter_table("users") as users:
        users.drop_column("webauthn_user_handle")
    for table, columns in _COLUMNS.items():
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column)
