"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tempadmin.moments import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "access_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("state_since", UtcDateTime(), nullable=False),
        sa.Column("requester_id", sa.Integer(), nullable=False),
        sa.Column("requester_name", sa.String(length=200), nullable=False),
        sa.Column("requester_email", sa.String(length=254), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("instance_name", sa.String(length=200), nullable=False),
        sa.Column("connector", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=True),
        sa.Column("account_name", sa.String(length=120), nullable=True),
        sa.Column("account_email", sa.String(length=254), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("external_ticket", sa.String(length=200), nullable=True),
        sa.Column("duration_seconds", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("provisioning_at", UtcDateTime(), nullable=True),
        sa.Column("provisioned_at", UtcDateTime(), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ends_at", UtcDateTime(), nullable=True),
        sa.Column("ending_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=True),
        sa.Column("ended_by_name", sa.String(length=200), nullable=True),
        sa.Column("create_attempts", sa.Integer(), nullable=False),
        sa.Column("attempt_deadline", UtcDateTime(), nullable=True),
        sa.Column("removal_failures", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(length=300), nullable=True),
        sa.Column("confirmation_mails", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(end_reason IS NULL) = (state NOT IN ('ending', 'ended'))", name=op.f("ck_access_requests_end_reason")
        ),
        sa.CheckConstraint("kind IN ('temporary_admin', 'impersonation')", name=op.f("ck_access_requests_kind")),
        sa.CheckConstraint(
            "state IN ('pending_approval', 'approved', 'provisioning', 'awaiting_confirmation', 'ready', 'active', 'ending', 'ended')",
            name=op.f("ck_access_requests_state"),
        ),
        sa.CheckConstraint("duration_seconds > 0", name=op.f("ck_access_requests_duration")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_requests")),
        sa.UniqueConstraint("public_id", name=op.f("uq_access_requests_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_access_requests_instance_id_id", "access_requests", ["instance_id", "id"], unique=False)
    op.create_index("ix_access_requests_requester_id_id", "access_requests", ["requester_id", "id"], unique=False)
    op.create_index(
        "ix_access_requests_state_next_attempt_at", "access_requests", ["state", "next_attempt_at"], unique=False
    )
    op.create_index(
        "uq_access_requests_open",
        "access_requests",
        ["requester_id", "instance_id", "kind"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('ending', 'ended')"),
        postgresql_where=sa.text("state NOT IN ('ending', 'ended')"),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=400), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_events_occurred_at", "audit_events", ["occurred_at"], unique=False)
    op.create_index("ix_audit_events_request_id", "audit_events", ["request_id"], unique=False)
    op.create_index("uq_audit_events_instance_id_number", "audit_events", ["instance_id", "number"], unique=True)
    op.create_table(
        "audit_heads",
        sa.Column("instance_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "job_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("asked_by", sa.String(length=400), nullable=True),
        sa.CheckConstraint("outcome IN ('done', 'failed', 'lost')", name=op.f("ck_job_runs_outcome")),
        sa.CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name=op.f("ck_job_runs_finished")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_job_runs_job_due_at", "job_runs", ["job", "due_at"], unique=True)
    op.create_table(
        "job_states",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("next_due_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_states")),
    )
    op.create_table(
        "outbox_messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(length=60), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("useful_until", UtcDateTime(), nullable=True),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_messages_next_attempt_at", "outbox_messages", ["next_attempt_at"], unique=False)
    op.create_index("ix_outbox_messages_request_id", "outbox_messages", ["request_id"], unique=False)
    op.create_table(
        "scheduler_leases",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("acquired_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_scheduler_leases")),
    )
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("blocked_until", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_table(
        "virtual_instances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("web_id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("virtual_hostname", sa.String(length=253), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("connector", sa.String(length=40), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=True),
        sa.Column("require_omniadmin", sa.Boolean(), nullable=False),
        sa.Column("require_customer", sa.Boolean(), nullable=False),
        sa.Column("max_duration_seconds", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("archived_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("is_default = (virtual_hostname IS NULL)", name=op.f("ck_virtual_instances_host")),
        sa.CheckConstraint(
            "max_duration_seconds IS NULL OR max_duration_seconds > 0", name=op.f("ck_virtual_instances_max_duration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_virtual_instances")),
        sa.UniqueConstraint("virtual_hostname", name=op.f("uq_virtual_instances_virtual_hostname")),
        sa.UniqueConstraint("web_id", name=op.f("uq_virtual_instances_web_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_virtual_instances_name_id", "virtual_instances", ["name", "id"], unique=False)
    op.create_index(
        "uq_virtual_instances_is_default",
        "virtual_instances",
        ["is_default"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "tickets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("code_digest", sa.String(length=64), nullable=True),
        sa.Column("code_challenge", sa.String(length=64), nullable=True),
        sa.Column("code_expires_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("purpose IN ('confirm', 'login')", name=op.f("ck_tickets_purpose")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["access_requests.id"], name=op.f("fk_tickets_request_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
        sa.UniqueConstraint("code_digest", name=op.f("uq_tickets_code_digest")),
        sa.UniqueConstraint("digest", name=op.f("uq_tickets_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tickets_request_id", "tickets", ["request_id"], unique=False)
    op.create_index(
        "uq_tickets_live",
        "tickets",
        ["request_id", "purpose"],
        unique=True,
        sqlite_where=sa.text("used_at IS NULL AND voided_at IS NULL"),
        postgresql_where=sa.text("used_at IS NULL AND voided_at IS NULL"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("screen_name", sa.String(length=120), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("full_name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_sign_in_at", UtcDateTime(), nullable=True),
        sa.Column("access_request_id", sa.Integer(), nullable=True),
        sa.Column("made_in_request_id", sa.Integer(), nullable=True),
        sa.Column("vouched_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "kind = 'regular' OR (password_hash IS NULL AND access_request_id IS NOT NULL)", name=op.f("ck_users_shape")
        ),
        sa.CheckConstraint("kind IN ('regular', 'temporary')", name=op.f("ck_users_kind")),
        sa.CheckConstraint("role IN ('member', 'administrator', 'omniadmin')", name=op.f("ck_users_role")),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["virtual_instances.id"], name=op.f("fk_users_instance_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_users_instance_id_kind_full_name_id", "users", ["instance_id", "kind", "full_name", "id"], unique=False
    )
    op.create_index("uq_users_access_request_id", "users", ["access_request_id"], unique=True)
    op.create_index("uq_users_instance_id_email", "users", ["instance_id", "email"], unique=True)
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("purpose IN ('join', 'enrol')", name=op.f("ck_invitations_purpose")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_invitations_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_invitations_user_id", "invitations", ["user_id"], unique=False)
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("instance_id", sa.Integer(), nullable=False),
        sa.Column("access_request_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("idle_seconds", sa.Integer(), nullable=False),
        sa.Column("mfa_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_sessions_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_login_sessions_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_login_sessions_user_id", "login_sessions", ["user_id"], unique=False)
    op.create_index(
        "uq_login_sessions_access_request_id",
        "login_sessions",
        ["access_request_id"],
        unique=True,
        sqlite_where=sa.text("access_request_id IS NOT NULL"),
        postgresql_where=sa.text("access_request_id IS NOT NULL"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
        sa.UniqueConstraint("digest", name=op.f("uq_recovery_codes_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_recovery_codes_user_id", "recovery_codes", ["user_id"], unique=False)
    op.create_table(
        "second_factors",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sealed_seed", sa.String(length=255), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_factors")),
        sa.UniqueConstraint("user_id", name=op.f("uq_second_factors_user_id")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("second_factors")
    op.drop_index("ix_recovery_codes_user_id", table_name="recovery_codes")
    op.drop_table("recovery_codes")
    op.drop_index(
        "uq_login_sessions_access_request_id",
        table_name="login_sessions",
        sqlite_where=sa.text("access_request_id IS NOT NULL"),
        postgresql_where=sa.text("access_request_id IS NOT NULL"),
    )
    op.drop_index("ix_login_sessions_user_id", table_name="login_sessions")
    op.drop_table("login_sessions")
    op.drop_index("ix_invitations_user_id", table_name="invitations")
    op.drop_table("invitations")
    op.drop_index("uq_users_instance_id_email", table_name="users")
    op.drop_index("uq_users_access_request_id", table_name="users")
    op.drop_index("ix_users_instance_id_kind_full_name_id", table_name="users")
    op.drop_table("users")
    op.drop_index(
        "uq_tickets_live",
        table_name="tickets",
        sqlite_where=sa.text("used_at IS NULL AND voided_at IS NULL"),
        postgresql_where=sa.text("used_at IS NULL AND voided_at IS NULL"),
    )
    op.drop_index("ix_tickets_request_id", table_name="tickets")
    op.drop_table("tickets")
    op.drop_index(
        "uq_virtual_instances_is_default",
        table_name="virtual_instances",
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.drop_index("ix_virtual_instances_name_id", table_name="virtual_instances")
    op.drop_table("virtual_instances")
    op.drop_table("throttles")
    op.drop_table("scheduler_leases")
    op.drop_index("ix_outbox_messages_request_id", table_name="outbox_messages")
    op.drop_index("ix_outbox_messages_next_attempt_at", table_name="outbox_messages")
    op.drop_table("outbox_messages")
    op.drop_table("job_states")
    op.drop_index("uq_job_runs_job_due_at", table_name="job_runs")
    op.drop_table("job_runs")
    op.drop_table("audit_heads")
    op.drop_index("uq_audit_events_instance_id_number", table_name="audit_events")
    op.drop_index("ix_audit_events_request_id", table_name="audit_events")
    op.drop_index("ix_audit_events_occurred_at", table_name="audit_events")
    op.drop_table("audit_events")
    op.drop_index(
        "uq_access_requests_open",
        table_name="access_requests",
        sqlite_where=sa.text("state NOT IN ('ending', 'ended')"),
        postgresql_where=sa.text("state NOT IN ('ending', 'ended')"),
    )
    op.drop_index("ix_access_requests_state_next_attempt_at", table_name="access_requests")
    op.drop_index("ix_access_requests_requester_id_id", table_name="access_requests")
    op.drop_index("ix_access_requests_instance_id_id", table_name="access_requests")
    op.drop_table("access_requests")
