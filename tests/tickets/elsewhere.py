"""A module for the setting `modules`: a user directory outside our database, a folder with a file per account."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from instances.connectors.base import Account
from instances.connectors.local import LocalConnector
from instances.connectors.registry import connectors
from tempadmin.runtime import current_runtime

FOLDER = "elsewhere"


class Elsewhere(LocalConnector):
    """What it does takes effect at once, whatever becomes of our transaction after it."""

    batch = 1
    joins = False

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        still_wanted()
        folder = current_runtime().settings.data / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / account.name).touch()
        super().create(account, still_wanted=still_wanted)

    def exists(self, account: Account) -> bool:
        return (current_runtime().settings.data / FOLDER / account.name).exists() or super().exists(account)

    def remove(self, account: Account) -> None:
        (current_runtime().settings.data / FOLDER / account.name).unlink(missing_ok=True)
        super().remove(account)


def init_app(app: Flask) -> None:
    connectors(app)["local"] = Elsewhere()
