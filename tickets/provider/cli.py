"""``tempadmin instance client`` and ``tempadmin oidc``: a product as a client of its instance, and the signing keys.

What signs is imported when a command runs: every command's start would pay for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from instances.cli import OPERATOR
from instances.models import VirtualInstance
from tempadmin.cli import with_app
from tempadmin.db import db
from tempadmin.errors import NotFound
from tempadmin.runtime import Runtime
from tempadmin.web.context import InstanceInfo, instance_source
from tickets.provider import clients


@click.command("client")
@with_app
@click.argument("web_id")
@click.option("--login-uri", help="Where the product begins its login; the browser is sent there after the entry.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where codes may be sent, letter by letter.")
@click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", multiple=True, help="Where a logout may lead.")
@click.option("--backchannel-logout-uri", help="Where the product is told of an end.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificates (PEM).")
@click.option("--group", "groups", multiple=True, help="What the claim groups says of whoever comes.")
@click.option("--new-secret", is_flag=True, help="Make a new secret; the former one is worth nothing from now on.")
@click.option("--show", is_flag=True, help="Show what is registered; the secret exists nowhere any more.")
@click.option("--remove", is_flag=True, help="Take the client back.")
@click.option("--json", "as_json", is_flag=True)
def client(
    runtime: Runtime, web_id: str, *, new_secret: bool, show: bool, remove: bool, as_json: bool, **given: Any
) -> None:
    """Register the product of an instance for OpenID Connect, change that, or show it.

    The client's secret is printed once. What is given replaces what was there, what is not given stays, and '' takes
    it back.
    """
    from tickets.provider import register

    instance = _instance(web_id)
    if remove:
        register.remove(instance_id=instance.id, actor=OPERATOR, runtime=runtime)
        click.echo(json.dumps({"removed": True}) if as_json else f"{instance.name} has no OpenID client any more.")
        return
    secret = None
    if not show:
        given["ca_file"] = _text(given["ca_file"])
        for name in ("redirect_uris", "post_logout_redirect_uris", "groups"):
            given[name] = [value for value in given[name] if value] if given[name] else None
        product = register.Product(**given)
        done = register.register(
            instance_id=instance.id, product=product, new_secret_too=new_secret, actor=OPERATOR, runtime=runtime
        )
        secret = done.client_secret
    _say(instance, secret, as_json=as_json)


@click.group("oidc")
def oidc() -> None:
    """The signing keys of the OpenID provider."""


@oidc.command("rotate")
@with_app
@click.option("--now", "at_once", is_flag=True, help="A key leaked: sign with a new one at once, take back all others.")
@click.option("--json", "as_json", is_flag=True)
def rotate(runtime: Runtime, *, at_once: bool, as_json: bool) -> None:
    """Publish the next signing key. It signs a day later, so that every product knows it by then."""
    from tickets.provider import keys

    moment = keys.rotate(actor=OPERATOR, runtime=runtime, at_once=at_once)
    shown = moment.isoformat(timespec="seconds")
    click.echo(json.dumps({"signs_from": shown}) if as_json else f"The next key is published; it signs from {shown}.")


def _say(instance: InstanceInfo, secret: str | None, *, as_json: bool) -> None:
    row = clients.registered(instance)
    if row is None:
        raise NotFound(f"No product is registered for {instance.name}.")
    told: dict[str, Any] = {
        "issuer": instance.url,
        "client_id": row.client_id,
        **({} if secret is None else {"client_secret": secret}),
        "login_uri": row.login_uri,
        "redirect_uris": list(row.redirect_uris),
        "post_logout_redirect_uris": list(row.post_logout_redirect_uris),
        "backchannel_logout_uri": row.backchannel_logout_uri,
        "ca_file": row.ca_file is not None,
        "groups": list(row.groups),
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for name, value in told.items():
        words = " ".join(value) if isinstance(value, list) else {None: "-", True: "yes", False: "-"}.get(value, value)
        click.echo(f"{name:<26} {words or '-'}")
    if secret is not None:
        click.echo("The secret is shown this once. Put it into the product's settings now.", err=True)


def _instance(web_id: str) -> InstanceInfo:
    found = db.session.scalar(select(VirtualInstance.id).where(VirtualInstance.web_id == web_id))
    instance = None if found is None else instance_source().by_id(found)
    if instance is None:
        raise NotFound(f"There is no instance {web_id}.")
    return instance


def _text(path: Path | None) -> str | None:
    return None if path is None else path.read_text("utf-8")
