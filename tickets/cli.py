"""``tempadmin access`` and ``tempadmin cleanup``."""

from __future__ import annotations

import json
import sys
from datetime import timedelta

import click
from sqlalchemy import select

from tempadmin.accounts.models import OMNIADMIN, User
from tempadmin.accounts.people import normalised_email
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import Actor
from tempadmin.cli import duration_option, with_app
from tempadmin.db import db
from tempadmin.errors import NotFound
from tempadmin.runtime import Runtime
from tickets import queries, story
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.states import OPEN, EndReason, State
from tickets.sweep import find_leftovers, sweep


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(access)
    group.add_command(cleanup)


@click.group()
def access() -> None:
    """See and end accesses."""


@access.command("list")
@with_app
@click.option("--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("--json", "as_json", is_flag=True)
def list_all(_runtime: Runtime, *, everything: bool, as_json: bool) -> None:
    """List the open accesses and those that are being removed."""
    query = queries.newest_first()
    if not everything:
        query = query.where(AccessRequest.state != State.ENDED)
    rows = [_facts(request) for request in db.session.scalars(query)]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['id']:<24} {row['state']:<22} {row['instance']:<28} {row['requester']}")
    if not rows:
        click.echo("No access is open.")


@access.command("show")
@with_app
@click.argument("public_id")
@click.option("--json", "as_json", is_flag=True)
def show(_runtime: Runtime, public_id: str, *, as_json: bool) -> None:
    """Show one access and its record."""
    request = queries.by_public_id(public_id)
    events = [
        {"at": event.occurred_at.isoformat(), "event": event.event, "by": event.actor_name}
        for event in audit_queries.of_request(request_id=request.id)
    ]
    if as_json:
        click.echo(json.dumps({**_facts(request), "events": events}, ensure_ascii=False))
        return
    for name, value in _facts(request).items():
        click.echo(f"{name:<12} {value if value is not None else '–'}")
    for event in events:
        click.echo(f"  {event['at']}  {event['event']:<28} {event['by']}")


@access.command("end")
@with_app
@click.argument("public_id")
@click.option("--as", "email", required=True, help="Your e-mail; you must be an active omniadmin.")
def end(runtime: Runtime, public_id: str, email: str) -> None:
    """End an access at once; its account is removed."""
    person = db.session.scalars(
        select(User).where(User.email == normalised_email(email), User.role == OMNIADMIN, User.active.is_(True))
    ).one_or_none()
    if person is None:
        raise NotFound(f"There is no active omniadmin {email}.")
    request = queries.by_public_id(public_id)
    mine = request.requester_id == person.id
    end_access(
        request_id=request.id,
        reason=EndReason.ENDED_BY_REQUESTER if mine else EndReason.ENDED_BY_OMNIADMIN,
        actor=Actor(id=person.id, name=person.full_name),
        runtime=runtime,
    )
    gone = queries.by_public_id(public_id).state == State.ENDED
    click.echo("Ended; the account is gone." if gone else "Ended; the account is being removed.")


@click.command("cleanup")
@with_app
@duration_option("--min-age", help="Leave younger leftovers to the other paths (default: cleanup_min_age).")
@click.option("--dry-run", is_flag=True, help="List what would be removed, and why; change nothing.")
@click.option("--json", "as_json", is_flag=True)
def cleanup(runtime: Runtime, min_age: timedelta | None, *, dry_run: bool, as_json: bool) -> None:
    """Remove whatever the other paths left behind."""
    age = runtime.settings.cleanup_min_age if min_age is None else min_age
    if dry_run:
        found = list(find_leftovers(min_age=age, now=runtime.now()))
        if as_json:
            rows = [{"account": one.account_name, "since": one.since.isoformat(), "why": one.why} for one in found]
            click.echo(json.dumps(rows, ensure_ascii=False))
            return
        for one in found:
            click.echo(f"{one.account_name:<40} since {one.since:%Y-%m-%d %H:%M} UTC: {one.why}")
        click.echo(f"{len(found)} would be removed." if found else "Nothing is left over.")
        return
    gone, total = sweep(min_age=age, runtime=runtime)
    click.echo(json.dumps({"removed": gone, "found": total}) if as_json else f"{gone} of {total} leftovers removed.")
    if gone < total:
        sys.exit(1)


def _facts(request: AccessRequest) -> dict[str, str | None]:
    mine = State(request.state) in OPEN
    return {
        "id": request.public_id,
        "state": request.state,
        "says": story.state_words(request, mine=mine)[0],
        "instance": request.instance_name,
        "requester": f"{request.requester_name} <{request.requester_email}>",
        "account": request.account_name,
        "reason": request.reason,
        "asked": request.created_at.isoformat(),
        "ended": request.ended_at.isoformat() if request.ended_at else None,
        "end_reason": request.end_reason,
    }
