"""Indexes for what is open among a million requests that are over; none for what nothing looks up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OPEN = sa.text("state NOT IN ('ending', 'ended')")
IMPERSONATION = sa.text("kind = 'impersonation'")
LOOKED_UP = sa.text("event IN ('database.restored', 'impersonation.wrong_address')")
MADE, CHANGED = sa.text("made_in_request_id IS NOT NULL"), sa.text("changed_in_request_id IS NOT NULL")
ADDED = (
    ("ix_access_requests_requester_id_created_at", "access_requests", ["requester_id", "created_at"], None),
    # After those of all requests: of two that would do as well SQLite takes the younger.
    ("ix_access_requests_open_instance_id", "access_requests", ["instance_id"], OPEN),
    ("ix_access_requests_open_requester_id", "access_requests", ["requester_id"], OPEN),
    ("ix_access_requests_impersonated", "access_requests", ["subject_id"], IMPERSONATION),
    ("ix_audit_events_looked_up", "audit_events", ["event"], LOOKED_UP),
    ("ix_users_made_in_request_id", "users", ["made_in_request_id"], MADE),
    ("ix_users_changed_in_request_id", "users", ["changed_in_request_id"], CHANGED),
)
DROPPED = (
    ("ix_tickets_purpose_used_at", "tickets", ["purpose", "used_at"]),
    ("ix_audit_events_occurred_at", "audit_events", ["occurred_at"]),
)


def upgrade() -> None:
    """Apply."""
    for name, table, columns, which in ADDED:
        op.create_index(name, table, columns, sqlite_where=which, postgresql_where=which)
    for name, table, _columns in DROPPED:
        op.drop_index(name, table_name=table)


def downgrade() -> None:
    """Take back."""
    for name, table, columns in DROPPED:
        op.create_index(name, table, columns)
    for name, table, _columns, _which in ADDED:
        op.drop_index(name, table_name=table)
