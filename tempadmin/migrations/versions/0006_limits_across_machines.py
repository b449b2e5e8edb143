"""Ceilings on changes count across machines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "limit_counters",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_limit_counters")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("limit_counters")
