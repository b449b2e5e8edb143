"""Adding people: addresses normalised, and the names of temporary administrators kept out of reach (P7)."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from sqlalchemy import select

from tempadmin.accounts.models import REGULAR, User
from tempadmin.db import db
from tempadmin.errors import Conflict, Invalid
from tempadmin.runtime import Runtime
from tempadmin.settings import Settings

LONGEST_NAME = 200


def normalised_email(text: str) -> str:
    """Return the one spelling of an address: lower case, ASCII domain. Same spelling, same person (S33).

    Raises
    ------
    Invalid
        When it is not an address; the text says why.
    """
    # A twentieth of what there is to import, for who signs in or is added; all other pages do without.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        parts = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise Invalid(f"This is not an e-mail address: {error}", field="email") from None
    return f"{parts.local_part.lower()}@{parts.ascii_domain.lower()}"


def cleaned_name(text: str) -> str:
    """Return a person's name on one line, without control characters.

    Raises
    ------
    Invalid
        When nothing is left, or too much.
    """
    visible = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    name = " ".join(unicodedata.normalize("NFC", visible).split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Invalid(f"Give a name of 1 to {LONGEST_NAME} characters.", field="full_name")
    return name


def refuse_reserved(*, email: str, full_name: str, settings: Settings) -> None:
    """Refuse what would pass for a temporary administrator: the reserved prefix and mail domain (P7)."""
    local, _, domain = email.rpartition("@")
    reserved = settings.user_email_domain.lower()
    if domain == reserved or domain.endswith("." + reserved):
        raise Invalid("Addresses at this domain are reserved for temporary administrators.", field="email")
    if _folded(local).startswith(_folded(settings.user_prefix)):
        raise Invalid(f"Addresses that begin with {settings.user_prefix} are reserved.", field="email")
    if _folded(full_name).startswith(_folded(settings.user_prefix)):
        raise Invalid(f"Names that begin with {settings.user_prefix} are reserved.", field="full_name")


def add_user(
    *,
    instance_id: int,
    email: str,
    full_name: str,
    role: str,
    now: datetime,
    runtime: Runtime,
    made_in_request_id: int | None = None,
) -> User:
    """Add a regular account without a password to the open transaction.

    Raises
    ------
    Invalid
        When the address or name cannot be taken.
    Conflict
        When the address has an account on this instance.
    """
    email, full_name = normalised_email(email), cleaned_name(full_name)
    refuse_reserved(email=email, full_name=full_name, settings=runtime.settings)
    if db.session.scalar(select(User.id).where(User.instance_id == instance_id, User.email == email)):
        raise Conflict(f"{email} has an account here already.")
    user = User(
        instance_id=instance_id,
        kind=REGULAR,
        role=role,
        email=email,
        full_name=full_name,
        created_at=now,
        made_in_request_id=made_in_request_id,
    )
    db.session.add(user)
    db.session.flush()
    return user


def carriers_of_reserved_names(settings: Settings, *, limit: int = 5) -> list[str]:
    """Return addresses of regular accounts that carry the configured prefix or domain; start-up refuses then."""
    prefix = settings.user_prefix.replace("_", r"\_")
    carriers = select(User.email).where(
        User.kind == REGULAR,
        User.email.like(f"{prefix}%", escape="\\")
        | User.email.endswith("@" + settings.user_email_domain, autoescape=True)
        | User.email.endswith("." + settings.user_email_domain, autoescape=True)
        | User.full_name.ilike(f"{prefix}%", escape="\\"),
    )
    return list(db.session.scalars(carriers.limit(limit)))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
