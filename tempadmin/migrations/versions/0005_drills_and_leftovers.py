"""Drill directories with their faults, and accounts that must go and belong to no request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "drills",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fault", sa.String(length=20), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_drills")),
    )
    op.create_table(
        "drill_accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("marker", sa.String(length=200), nullable=True),
        sa.Column("administrator", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("gone_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_accounts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_drill_accounts_instance_id_name", "drill_accounts", ["instance_id", "name"])
    op.create_table(
        "leftovers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("connector", sa.String(length=40), nullable=False),
        sa.Column("account_name", sa.String(length=200), nullable=False),
        sa.Column("account_email", sa.String(length=254), nullable=False),
        sa.Column("marker", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=False),
        sa.Column("last_error", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leftovers")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_leftovers_instance_id_account_name", "leftovers", ["instance_id", "account_name"], unique=True)
    op.create_index("ix_leftovers_next_attempt_at", "leftovers", ["next_attempt_at"])


def downgrade() -> None:
    """Take back."""
    for table in ("leftovers", "drill_accounts", "drills"):
        op.drop_table(table)
