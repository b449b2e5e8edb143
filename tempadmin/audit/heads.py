"""Once a day the head of every chain goes to the log, where the database's owner cannot reach it (design §10)."""

from __future__ import annotations

import structlog
from flask import Flask
from sqlalchemy import select

from tempadmin.audit.models import AuditHead
from tempadmin.db import db
from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Register the job."""
    register(
        app,
        Job(
            name="audit-heads",
            description="Writes the head of every audit chain to the log",
            schedule="15 0 * * *",
            run=log_heads,
        ),
    )


def log_heads(_runtime: Runtime) -> str:
    """Log number and hash of every head; ``audit verify --expect-head`` takes them back."""
    heads = db.session.execute(select(AuditHead.instance_id, AuditHead.number, AuditHead.hash)).all()
    for instance_id, number, digest in heads:
        log.info("audit.head", instance_id=instance_id, number=number, hash=digest)
    return f"{len(heads)} heads logged"
