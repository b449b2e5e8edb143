"""Removals that do not go through: when omniadmins were told of one, and who says that they removed it by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = {
    "attention_told_at": UtcDateTime(),
    "removed_by_hand_at": UtcDateTime(),
    "removed_by_hand_by": sa.String(length=200),
    "removed_by_hand_reason": sa.Text(),
}


def upgrade() -> None:
    """Apply."""
    for name, kind in COLUMNS.items():
        op.add_column("access_requests", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Take back."""
    for name in COLUMNS:
        op.drop_column("access_requests", name)
