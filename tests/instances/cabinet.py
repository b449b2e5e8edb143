"""A connector with settings of every kind, whose directory is that of the drill; it lets in whoever has its token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Literal

from flask import Flask
from pydantic import Field, SecretStr, field_validator

from instances import connections
from instances.connectors.base import Account, ConnectorError, Entry, Found
from instances.connectors.drill import DrillConnector, _DrillDirectory
from instances.connectors.registry import connectors
from instances.connectors.remote import Directory
from instances.connectors.settings import ConnectorSettings, place

CABINET = "cabinet"
TOKEN, PASSWORD = "t0ken/with+signs", "pass word é"
GOOD: dict[str, Any] = {"url": "https://cabinet.example", "token": TOKEN, "groups": ["admins", "staff"]}


class CabinetSettings(ConnectorSettings):
    """Where a cabinet stands."""

    url: str = place(description="Where the cabinet stands.")
    token: SecretStr = Field(description="What opens it.")
    groups: list[str] = Field(description="What its keepers are called.", min_length=1)
    password: SecretStr | None = Field(default=None, description="What opens its lowest drawer.")
    drawer: int = Field(default=1, ge=1, le=99, description="Which one is ours.")
    key_url: str | None = Field(default=None, title="Key address", description="Who lends its key.")
    verify: bool = Field(default=True, description="Whether its name plate is looked at.")
    mode: Literal["quick", "thorough"] = Field(default="quick", description="How it is looked through.")
    drawers: dict[str, str] = Field(default_factory=dict, description="What stands on its drawers.")
    ca_file: str | None = Field(default=None, description="Who signed its name plate.")

    @field_validator("url")
    @classmethod
    def _has_a_scheme(cls, url: str) -> str:
        if not url.startswith("https://"):
            raise ValueError("is no https address")
        return url.rstrip("/")


class Drawer(_DrillDirectory):
    """A directory whose accounts are entered by their passwords."""

    passwords: ClassVar[dict[str, str]] = {}

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        super().enable(account, entry, secret=secret, until=until)
        self.passwords[entry.name] = secret or ""

    def disable(self, account: Account, entry: Found) -> None:
        super().disable(account, entry)
        self.passwords.pop(entry.name, None)

    def try_entry(self, account: Account, secret: str) -> Iterator[str]:
        if self.passwords.get(account.name) != secret:
            raise ConnectorError(f"{account.name} cannot get in by {secret}", setting="mode")
        yield f"the drawer opens by {secret}"


class Cabinet(DrillConnector):
    """Its answers are not as careful as they should be: they repeat what they were sent."""

    entry: Entry | None = Entry.CREDENTIAL
    settings = CabinetSettings

    def __init__(self) -> None:
        super().__init__(wait=lambda _seconds: None)
        self.token = TOKEN
        """What opens it now."""
        self.opened = 0

    @contextmanager
    def open(self, settings: CabinetSettings, instance_id: int) -> Iterator[Directory]:
        self.opened += 1
        sent = settings.token.get_secret_value()
        if sent != self.token:
            raise ConnectorError(f"GET {settings.url}/Me: answered 401, “bad token {sent}”", setting="token")
        if "nowhere" in settings.url:
            raise RuntimeError(f"no route for {sent}")
        yield Drawer(instance_id, lasts=self.timeout, wait=self._wait)

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Directory]:
        with self.open(connections.read(instance_id, CabinetSettings), instance_id) as directory:
            yield directory


def put_up(app: Flask) -> Cabinet:
    """Let instances be connected to cabinets."""
    cabinet = Cabinet()
    connectors(app)[CABINET] = cabinet
    return cabinet
