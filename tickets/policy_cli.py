"""``tempadmin instance policy``: whose yes an instance wants, and for how long anybody may be inside."""

from __future__ import annotations

from datetime import timedelta

import click
from sqlalchemy import select

from instances.cli import OPERATOR
from instances.models import VirtualInstance
from tempadmin.cli import duration_option, with_app
from tempadmin.db import db
from tempadmin.runtime import Runtime
from tempadmin.web import words
from tickets import answers, asking
from tickets.operator_policy import change_as_operator


@click.command("policy")
@with_app
@click.argument("web_id")
@click.option("--require-omniadmin/--no-require-omniadmin", default=None, help="A second omniadmin must approve.")
@click.option("--require-customer/--no-require-customer", default=None, help="An administrator there must approve.")
@duration_option("--max-duration", help="The longest access, e.g. 2h; only shorter than it is now.")
def policy(
    runtime: Runtime,
    web_id: str,
    *,
    require_omniadmin: bool | None,
    require_customer: bool | None,
    max_duration: timedelta | None,
) -> None:
    """Show or change whose yes access to an instance needs, and how long it may last.

    The settings are the minimum for all instances. A second omniadmin is yours to require or not. Whether the customer
    is asked, and a shorter maximum, belong to the customer: you can tighten them here; to loosen them, an administrator
    of the instance uses the page "Support access". What is open and does not fit a tighter policy ends at once.
    """
    ended = 0
    if (require_omniadmin, require_customer, max_duration) != (None, None, None):
        ended = change_as_operator(
            web_id=web_id,
            actor=OPERATOR,
            require_omniadmin=require_omniadmin,
            require_customer=require_customer,
            longest=max_duration,
            runtime=runtime,
        )
    instance = db.session.scalars(select(VirtualInstance).where(VirtualInstance.web_id == web_id)).one_or_none()
    if instance is None or instance.is_default:
        raise click.ClickException(f"there is no customer's instance {web_id}")
    needs = answers.sides_words(asking.sides_needed(instance, runtime), instance.name)
    click.echo(f"{instance.name}: an access lasts {words.duration(asking.longest_of(instance, runtime))} at most.")
    click.echo(" ".join(needs) or "Nobody has to approve it.")
    if ended:
        click.echo(f"{ended} open access{'es' if ended > 1 else ''} ended by this.")
