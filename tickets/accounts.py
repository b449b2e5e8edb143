"""The account of a request as connectors see it."""

from __future__ import annotations

from typing import Any

from instances.connectors import marker
from instances.connectors.base import Account
from tempadmin.runtime import current_runtime
from tickets.models import AccessRequest


def account_of(request: AccessRequest) -> Account:
    """Return the account of a request as connectors see it."""
    told = (request.subject_id, request.account_name, request.account_email)
    found = account(request.id, request.public_id, request.instance_id, *told)
    if found is None:
        raise ValueError(f"request {request.id} has no account")
    return found


def account(request_id: int, public_id: str, instance_id: int, *named: Any) -> Account | None:
    """Return an account by its id, name and e-mail; ``None`` when one of these is missing."""
    if None in named:
        return None
    user_id, name, email = named
    return Account(
        instance_id=instance_id,
        user_id=user_id,
        request_id=request_id,
        name=name,
        email=email,
        marker=marker.make(request=public_id, instance_id=instance_id, name=name, keys=current_runtime().keys),
    )
