"""What an instance's administrators choose about it."""

from __future__ import annotations

from zoneinfo import available_timezones

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.people import cleaned_name
from tempadmin.audit.log import record
from tempadmin.db import lock, transaction
from tempadmin.errors import Invalid, NotFound
from tempadmin.runtime import Runtime


def change_preferences(*, acting: Acting, name: str, time_zone: str, runtime: Runtime) -> None:
    """Change an instance's name and time zone; never its support policy.

    Raises
    ------
    Invalid
        When name or zone cannot be taken.
    """
    if time_zone and time_zone not in available_timezones():
        raise Invalid("There is no such time zone.", field="time_zone")
    with transaction():
        row = lock(VirtualInstance, acting.instance_id)
        if row is None:
            raise NotFound("This instance is gone.")
        try:
            row.name = cleaned_name(name)
        except Invalid as error:
            raise Invalid(error.message, field="name") from None
        row.time_zone = time_zone or None
        record(
            "instance.changed",
            instance_id=row.id,
            actor=acting.actor,
            at=runtime.now(),
            request_id=acting.request_id,
            name=row.name,
            time_zone=row.time_zone,
        )
