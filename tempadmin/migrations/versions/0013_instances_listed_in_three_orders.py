"""An index for each order of the console's list, with what a search looks at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LISTED = sa.text("virtual_hostname IS NOT NULL AND archived_at IS NULL")
ORDERS = (
    ("name", "id", "web_id", "virtual_hostname"),
    ("web_id", "id", "name", "virtual_hostname"),
    ("virtual_hostname", "id", "name", "web_id"),
)


def upgrade() -> None:
    """Apply."""
    for columns in ORDERS:
        op.create_index(
            f"ix_virtual_instances_listed_by_{columns[0]}",
            "virtual_instances",
            columns,
            sqlite_where=LISTED,
            postgresql_where=LISTED,
        )
    op.drop_index("ix_virtual_instances_name_id", table_name="virtual_instances")


def downgrade() -> None:
    """Take back."""
    op.create_index("ix_virtual_instances_name_id", "virtual_instances", ["name", "id"])
    for columns in ORDERS:
        op.drop_index(f"ix_virtual_instances_listed_by_{columns[0]}", table_name="virtual_instances")
