"""What a person changes about their own account."""

from __future__ import annotations

from zoneinfo import available_timezones

from tempadmin.accounts.models import User
from tempadmin.db import lock, transaction
from tempadmin.errors import Invalid, NotFound
from tempadmin.runtime import Runtime


def set_time_zone(*, user_id: int, time_zone: str, runtime: Runtime) -> None:
    """Choose the zone in which times are shown; empty means the browser's.

    Raises
    ------
    Invalid
        When there is no such zone.
    """
    if time_zone and time_zone not in available_timezones():
        raise Invalid("There is no such time zone.", field="time_zone")
    with transaction():
        user = lock(User, user_id)
        if user is None:
            raise NotFound("This account is gone.")
        user.time_zone = time_zone or None
