"""Reads about instances and their users."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BindParameter, Select, func, or_, select

from instances.finding import CONDITIONS, Way, way_of
from instances.models import VirtualInstance
from tempadmin.accounts.models import REGULAR, LoginSession, User
from tempadmin.db import db

SORTS = {
    "name": VirtualInstance.name,
    "web_id": VirtualInstance.web_id,
    "host": VirtualInstance.virtual_hostname,
}


def customers(*, search: str = "") -> Select[VirtualInstance]:
    """Return the query of customers' instances whose name, web id or host contains the text, any case, by name."""
    way, values = way_of(search)
    return customers_found(way).params(values).order_by(VirtualInstance.name, VirtualInstance.id)


def customers_found(way: Way) -> Select[VirtualInstance]:
    """Return the query of customers' instances that are found in a way, in no order, without that way's values."""
    here = VirtualInstance.virtual_hostname.is_not(None), VirtualInstance.archived_at.is_(None)  # LISTED
    return select(VirtualInstance).where(*here, *CONDITIONS[way])


def visible(*, instance_id: int | BindParameter[int]) -> Select[User]:
    """Return the query of an instance's people. Temporary administrators are not among them, ever (P6)."""
    return select(User).where(User.instance_id == instance_id, User.kind == REGULAR)


def people(*, instance_id: int | BindParameter[int], search: str = "") -> Select[User]:
    """Return the query of an instance's people whose name or address contains the text, any case."""
    query = visible(instance_id=instance_id)
    if search:
        query = query.where(
            or_(User.full_name.icontains(search, autoescape=True), User.email.icontains(search, autoescape=True))
        )
    return query.order_by(User.full_name, User.id)


def what_ends(*, instance_id: int, now: datetime) -> tuple[int, int]:
    """Count the accounts and the live sessions that an archiving ends; temporary accounts are not counted (P6)."""
    people = visible(instance_id=instance_id).with_only_columns(func.count())
    sessions = select(func.count()).where(
        LoginSession.instance_id == instance_id, LoginSession.ended_at.is_(None), LoginSession.expires_at > now
    )
    return db.session.scalar(people) or 0, db.session.scalar(sessions) or 0
