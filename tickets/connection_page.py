"""What on-demand access says on the page of an instance's connection: how people get in, and what keeps its place."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, url_for

from instances.connection_facts import Fact, connection_facts
from instances.connectors.base import Entry
from instances.models import VirtualInstance
from tempadmin.errors import Conflict
from tickets import entries, moving
from tickets.provider import clients

WAYS = {
    Entry.PANEL: "by the one-time link, into its own control panel",
    Entry.CREDENTIAL: "by a password that is shown once",
    Entry.OIDC: "by OpenID Connect, through its product",
}


def init_app(app: Flask) -> None:
    """Register the facts."""
    connection_facts(app).append(lambda instance: list(facts(instance)))


def facts(instance: VirtualInstance) -> Iterator[Fact]:
    """Yield how people get in, the product that is registered, and what is still open."""
    try:
        yield Fact(label="Entry", text=WAYS[entries.entry_of(instance)])
    except Conflict as error:
        yield Fact(label="Entry", text=error.message)
    client, page = clients.of_instance(instance.id), url_for("openid.show", web_id=instance.web_id)
    yield Fact(label="OpenID client", text="Register the product" if client is None else client.client_id, url=page)
    if client is not None:
        yield Fact(label="Its login", text=client.login_uri)
        told = client.backchannel_logout_uri or "It is not told of an end: no back-channel address is registered."
        yield Fact(label="Told of an end", text=told)
    if entries.is_elsewhere(instance.connector):
        yield Fact(label="The whole way", text=f"is tried by: tempadmin instance check {instance.web_id}")
    if still := moving.what_may_be_there(instance.id):
        yield Fact(label="Still open", text=f"{still}; until then its place cannot change")
