"""Checks and what they find; modules add their own checks to a registry that this floor keeps (design §3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from flask import Flask

from tempadmin.db import db
from tempadmin.logs import SECRET_PARAMETER
from tempadmin.runtime import Runtime

EXTENSION = "tempadmin.checks"
INVARIANTS = "tempadmin.invariants"
DATABASE, MIGRATIONS = "database", "migrations"


class Level(StrEnum):
    """How bad it is; only when everything is ``ok`` all is well."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: how it is, and what to do where it should be otherwise."""

    level: Level
    message: str
    advice: str | None = None


def ok(message: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(level=Level.OK, message=message)


def warning(message: str, advice: str) -> Finding:
    """Return what works for now."""
    return Finding(level=Level.WARNING, message=message, advice=advice)


def error(message: str, advice: str) -> Finding:
    """Return what does not work, or is not safe."""
    return Finding(level=Level.ERROR, message=message, advice=advice)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to look at.

    ``look`` runs in an application context, writes nothing, and yields one finding or more.
    """

    name: str
    look: Callable[[Runtime], Iterable[Finding]]
    needs: str | None = MIGRATIONS
    """The check without whose success this one makes no sense."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A finding under its check's name."""

    check: str
    finding: Finding
    looked: bool = True
    """Whether the check ran; without the ground that it needs it does not."""


def checks(app: Flask) -> list[Check]:
    """Return the checks that modules add; they come after the ground floor's, in the order of the modules."""
    return cast("list[Check]", app.extensions.setdefault(EXTENSION, []))


def invariants(app: Flask) -> list[Check]:
    """Return the invariants that modules add; each bears the number of the promise that it sees broken."""
    return cast("list[Check]", app.extensions.setdefault(INVARIANTS, []))


def examine(planned: Iterable[Check], runtime: Runtime) -> Iterator[Line]:
    """Run the checks in their order; one that fails itself is a finding, one whose ground is missing is left out."""
    useless: set[str] = set()
    for check in planned:
        if check.needs in useless:
            useless.add(check.name)
            missing = warning("not looked at", f"see to this first: {check.needs}")
            yield Line(check=check.name, finding=missing, looked=False)
            continue
        for finding in _findings(check, runtime):
            if finding.level is Level.ERROR:
                useless.add(check.name)
            yield Line(check=check.name, finding=finding)


def said(reason: BaseException) -> str:
    """Return an error's first line, without the SQL around it and without secrets (P12)."""
    cause = getattr(reason, "orig", None) or reason
    first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return SECRET_PARAMETER.sub(r"\1=[redacted]", first)


def _findings(check: Check, runtime: Runtime) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check.look(runtime))
    except Exception as reason:  # noqa: BLE001 - whatever is broken, the other checks and a clear line are wanted
        found.append(error(f"cannot be looked at: {type(reason).__name__}: {said(reason)}", "see to this first"))
    finally:
        _forget()
    return found


def _forget() -> None:
    """Let no check see what another one read; a database that is gone must not stop us."""
    try:
        db.session.rollback()
    except Exception:  # noqa: BLE001 - the next check says so
        db.session.remove()
