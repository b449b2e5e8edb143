"""How often jobs ended how, and for how long they worked; indexes for what metrics count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COUNTS, SECONDS = ("runs_done", "runs_failed", "runs_lost"), ("seconds_done", "seconds_failed")
GIVEN_UP = sa.text("sent_at IS NULL AND next_attempt_at IS NULL")


def upgrade() -> None:
    """Apply."""
    for name in COUNTS:
        op.add_column("job_states", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    for name in SECONDS:
        op.add_column("job_states", sa.Column(name, sa.Double(), server_default="0", nullable=False))
    op.create_index(
        "ix_outbox_messages_given_up",
        "outbox_messages",
        ["sent_at", "next_attempt_at", "created_at"],
        sqlite_where=GIVEN_UP,
        postgresql_where=GIVEN_UP,
    )
    op.create_index("ix_tickets_purpose_used_at", "tickets", ["purpose", "used_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_tickets_purpose_used_at", table_name="tickets")
    op.drop_index("ix_outbox_messages_given_up", table_name="outbox_messages")
    for name in (*SECONDS, *COUNTS):
        op.drop_column("job_states", name)
