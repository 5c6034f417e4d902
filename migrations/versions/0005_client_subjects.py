"""By what a client knows a person in a session, so that logout tokens say what the ID tokens said.

Only expands: the new column may be empty, so a program written for the fourth schema goes on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005_since_0004"
down_revision = "0004_since_0003"


def upgrade() -> None:
    """Room for the subject."""
    op.add_column("session_clients", sa.Column("client_subject", sa.Text))


def downgrade() -> None:
    """What the fourth schema had."""
    with op.batch_alter_table("session_clients") as altered:
        altered.drop_column("client_subject")
