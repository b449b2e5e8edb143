"""Reserving a temporary account: its row among our own, whatever directory it is made in; it can do nothing yet."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import Table, bindparam, insert, update

from tempadmin.accounts.models import ADMINISTRATOR, TEMPORARY, User
from tempadmin.db import run
from tempadmin.runtime import Runtime
from tickets.models import AccessRequest

# Built once: every account begins with these.
_USERS = cast(Table, User.__table__)
RESERVE = insert(_USERS).returning(_USERS.c.id)
NAME = (
    update(_USERS)
    .where(_USERS.c.id == bindparam("reserved"))
    .values(screen_name=bindparam("name"), email=bindparam("address"))
)


def reserve(request: AccessRequest, *, now: datetime, runtime: Runtime) -> tuple[int, str, str]:
    """Add the account's row to the open transaction, inactive and without credentials.

    Returns
    -------
    tuple
        The row's id, which is the ``b`` of its name, its name and its address.
    """
    settings = runtime.settings
    row = {
        "instance_id": request.instance_id,
        "kind": TEMPORARY,
        "role": ADMINISTRATOR,
        "email": f"reserved-{request.public_id}@{settings.user_email_domain}".lower(),
        "full_name": request.requester_name,
        "active": False,
        "created_at": now,
        "access_request_id": request.id,
    }
    user_id: int = run(RESERVE, row).scalar_one()
    name = f"{settings.user_prefix}_{request.requester_id}_{user_id}"
    address = f"{name}@{settings.user_email_domain}"
    run(NAME, {"reserved": user_id, "name": name, "address": address})
    return user_id, name, address
