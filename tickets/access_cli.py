"""``tempadmin access``: see, answer and end requests, as a named person and by the use cases of the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy import ColumnElement, or_, select, true

from instances.directory import Acting
from instances.models import VirtualInstance
from tempadmin.accounts.models import OMNIADMIN, REGULAR, User
from tempadmin.accounts.people import normalised_email
from tempadmin.audit.log import Actor
from tempadmin.cli import with_app
from tempadmin.db import db
from tempadmin.errors import Conflict, NotFound
from tempadmin.runtime import Runtime
from tickets import approve, by_hand, extend, queries, telling, watching
from tickets.end import end_access
from tickets.models import PENDING, AccessRequest, Extension
from tickets.states import EndReason, State

F = TypeVar("F", bound=Callable[..., Any])
COMMAND_LINE = "command line"


def _named(*, required: bool) -> Callable[[F], F]:
    """Add ``--as`` and ``--on``: who acts, or, for what only shows, through whose eyes."""
    who = "Your e-mail." if required else "Show what this person sees on their own pages (default: everything)."

    def add(command: F) -> F:
        where = click.option("--on", "web_id", help="The web id of that person's instance (default: the default one).")
        return click.option("--as", "email", required=required, help=who)(where(command))

    return add


@click.group()
def access() -> None:
    """See, answer and end requests for access.

    Whoever approves, rejects or ends acts as a named person: --as says who, --on where their account is. They may do
    what their own pages let them do, and nothing else; the record says that it was by command line.
    """


@access.command("list")
@with_app
@_named(required=False)
@click.option("--pending", is_flag=True, help="Only those that wait for somebody's yes, also to more time.")
@click.option("--all", "everything", is_flag=True, help="Ended ones too.")
@click.option("--json", "as_json", is_flag=True)
def list_all(
    _runtime: Runtime, email: str | None, web_id: str | None, *, pending: bool, everything: bool, as_json: bool
) -> None:
    """List what is open and what is being removed.

    Without --as it lists everything. With it, what that person sees: an omniadmin all, an administrator their
    instance's, everybody else what asked to see the instance as they do.
    """
    query = queries.newest_first().where(_seen_by(email, web_id))
    if pending:
        more_time = select(Extension.request_id).where(Extension.state == PENDING)
        query = query.where(or_(AccessRequest.state == State.PENDING_APPROVAL, AccessRequest.id.in_(more_time)))
    elif not everything:
        query = query.where(AccessRequest.state != State.ENDED)
    found = db.session.scalars(query).all()
    told = watching.answers_of(found)
    rows = [telling.facts_of(request, told[request.id]) for request in found]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        waits = f"  waits for: {', '.join(row['waits_for'])}" if row["waits_for"] else ""
        click.echo(f"{row['id']:<24} {row['state']:<22} {row['instance']:<28} {row['requester']}{waits}")
    if not rows:
        click.echo("Nothing waits for an answer." if pending else "No access is open.")


@access.command("show")
@with_app
@click.argument("public_id")
@_named(required=False)
@click.option("--json", "as_json", is_flag=True)
def show(_runtime: Runtime, public_id: str, email: str | None, web_id: str | None, *, as_json: bool) -> None:
    """Show one request: who answered what, more time, how much was done, which accounts were made, its record."""
    record = telling.record_of(_one(public_id, _seen_by(email, web_id)))
    click.echo(json.dumps(record, ensure_ascii=False) if as_json else "\n".join(telling.lines_of(record)))


@access.command("approve")
@with_app
@click.argument("public_id")
@_named(required=True)
@click.option("--note", help="A word to whoever asked; up to 500 characters.")
@click.option("--more-time", is_flag=True, help="Answer the wish for more time in an access that is going on.")
def say_yes(runtime: Runtime, public_id: str, email: str, web_id: str | None, note: str, *, more_time: bool) -> None:
    """Say yes for the side that you stand on; never to your own request."""
    person, request = _person_and_request(public_id, email, web_id)
    acting, request_id = _acting(person), request.id
    if more_time:
        extension_id = _extension_of(request)
        granted = extend.approve_extension(
            request_id=request_id, extension_id=extension_id, acting=acting, note=note, runtime=runtime
        )
        click.echo("Approved; the access lasts longer now." if granted else "Approved; another yes is still missing.")
        return
    state = approve.approve(request_id=request_id, acting=acting, note=note, runtime=runtime)
    complete = state == State.APPROVED
    click.echo("Approved; the requester can start." if complete else "Approved; another yes is still missing.")


@access.command("reject")
@with_app
@click.argument("public_id")
@_named(required=True)
@click.option("--note", help="A word to whoever asked; up to 500 characters.")
@click.option("--more-time", is_flag=True, help="Answer the wish for more time in an access that is going on.")
def say_no(runtime: Runtime, public_id: str, email: str, web_id: str | None, note: str, *, more_time: bool) -> None:
    """Say no: the request is over, whatever others said. With --more-time the access goes on to its own end."""
    person, request = _person_and_request(public_id, email, web_id)
    acting, request_id = _acting(person), request.id
    if more_time:
        extension_id = _extension_of(request)
        extend.reject_extension(
            request_id=request_id, extension_id=extension_id, acting=acting, note=note, runtime=runtime
        )
        click.echo("Rejected; the access goes on to its own end.")
        return
    approve.reject(request_id=request_id, acting=acting, note=note, runtime=runtime)
    click.echo("Rejected; the request is over.")


@access.command("end")
@with_app
@click.argument("public_id")
@_named(required=True)
def end(runtime: Runtime, public_id: str, email: str, web_id: str | None) -> None:
    """End an access at once; its account is removed."""
    person, request = _person_and_request(public_id, email, web_id)
    request_id, reason = request.id, _reason_to_end(request, person)
    end_access(request_id=request_id, reason=reason, actor=_acting(person).actor, runtime=runtime)
    request = queries.by_public_id(public_id)
    if request.account_name is None:
        click.echo("Ended.")
        return
    gone = request.state == State.ENDED
    click.echo("Ended; the account is gone." if gone else "Ended; the account is being removed.")


@access.command("retry-removal")
@with_app
@click.argument("public_id")
@_named(required=True)
def retry_removal(runtime: Runtime, public_id: str, email: str, web_id: str | None) -> None:
    """Try to remove an account now, whatever pause its removal is in."""
    person, request = _person_and_request(public_id, email, web_id)
    gone = by_hand.retry_removal(request_id=request.id, acting=_acting(person), runtime=runtime)
    click.echo("The account is gone." if gone else "Not known to be gone yet; it is tried again by itself.")


@access.command("removed-by-hand")
@with_app
@click.argument("public_id")
@_named(required=True)
@click.option("--reason", required=True, help="How and why; 10 to 2,000 characters, kept in the record.")
def removed_by_hand(runtime: Runtime, public_id: str, email: str, web_id: str | None, reason: str) -> None:
    """Say that you removed an account by hand; its directory is asked."""
    person, request = _person_and_request(public_id, email, web_id)
    gone = by_hand.say_removed(request_id=request.id, acting=_acting(person), reason=reason, runtime=runtime)
    click.echo("The account is gone." if gone else "Kept; its directory is asked until it confirms that.")


def named_person(email: str, web_id: str | None) -> User:
    """Return the account in use that somebody names as theirs."""
    home = VirtualInstance.is_default if web_id is None else VirtualInstance.web_id == web_id
    here = select(VirtualInstance).where(home, VirtualInstance.archived_at.is_(None))
    instance = db.session.scalars(here).one_or_none()
    if instance is None:
        raise NotFound(f"There is no instance {web_id}." if web_id else "There is no default instance yet.")
    in_use = (User.kind == REGULAR, User.active.is_(True), User.password_hash.is_not(None))
    mine = select(User).where(User.instance_id == instance.id, User.email == normalised_email(email), *in_use)
    person = db.session.scalars(mine).one_or_none()
    if person is None:
        raise NotFound(f"There is no account in use {email} at {instance.web_id}. (--on names another instance.)")
    return person


def _acting(person: User) -> Acting:
    actor = Actor(id=person.id, name=person.full_name, via=COMMAND_LINE)
    return Acting(user_id=person.id, instance_id=person.instance_id, actor=actor, request_id=None)


def _seen_by(email: str | None, web_id: str | None) -> ColumnElement[bool]:
    """Return the condition of what a person sees on their own pages; without one, of everything."""
    if email is None:
        if web_id is not None:
            raise click.UsageError("--on says where the account of --as is; give both")
        return true()
    person = named_person(email, web_id)
    return true() if person.role == OMNIADMIN else watching.theirs(person)


def _one(public_id: str, seen: ColumnElement[bool]) -> AccessRequest:
    found = db.session.scalars(select(AccessRequest).where(AccessRequest.public_id == public_id, seen)).one_or_none()
    if found is None:
        raise NotFound("There is no such request.")
    return found


def _person_and_request(public_id: str, email: str, web_id: str | None) -> tuple[User, AccessRequest]:
    return named_person(email, web_id), _one(public_id, _seen_by(email, web_id))


def _extension_of(request: AccessRequest) -> int:
    extension = queries.extension_of(request)
    if extension is None:
        raise Conflict("Nobody asked for more time in this access.")
    return extension.id


def _reason_to_end(request: AccessRequest, person: User) -> EndReason:
    """Return what this end is called; the same words as on the person's own page."""
    if person.role == OMNIADMIN and request.requester_id != person.id:
        return EndReason.ENDED_BY_OMNIADMIN
    if person.role == OMNIADMIN:
        return EndReason.ENDED_BY_REQUESTER if request.state == State.ACTIVE else EndReason.CANCELLED
    return EndReason.ENDED_BY_SUBJECT if request.subject_id == person.id else EndReason.ENDED_BY_CUSTOMER
