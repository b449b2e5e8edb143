"""Where an instance's directory is, how an account is entered, and whether the directory has let it in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "connections",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("sealed_secrets", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["virtual_instances.id"],
            name=op.f("fk_connections_instance_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_connections")),
    )
    op.add_column("access_requests", sa.Column("entry", sa.String(20), server_default="panel", nullable=False))
    op.add_column("access_requests", sa.Column("activated_at", UtcDateTime(), nullable=True))
    op.add_column("access_requests", sa.Column("sealed_credential", sa.Text(), nullable=True))
    op.add_column("access_requests", sa.Column("credential_shown_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for name in ("credential_shown_at", "sealed_credential", "activated_at", "entry"):
        op.drop_column("access_requests", name)
    op.drop_table("connections")
