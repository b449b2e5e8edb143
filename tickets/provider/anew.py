"""The provider's part when a restored database begins anew: no signing key that a backup remembers signs again."""

from __future__ import annotations

from datetime import datetime

from flask import Flask
from sqlalchemy import delete

from tempadmin.audit.log import Actor
from tempadmin.backup.anew import parts
from tempadmin.db import db
from tickets.provider.models import OidcKey


def init_app(app: Flask) -> None:
    """Register it."""
    parts(app).append(begin_anew)


def begin_anew(actor: Actor, now: datetime) -> dict[str, int]:
    """Take every key back: one may have leaked and been replaced since. The next login makes a new one."""
    db.session.execute(delete(OidcKey))
    return {}
