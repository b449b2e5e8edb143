"""A directory elsewhere whose accounts are entered by a password, or by OpenID Connect, under a test's hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import update

from instances.connectors.base import Account, Entry, Found
from instances.connectors.drill import DRILL, DrillConnector
from instances.connectors.registry import connectors
from instances.connectors.remote import Directory
from instances.models import DrillAccount, VirtualInstance
from tempadmin.db import db, transaction
from tests.tickets.scenes import Scene, new_scene
from tests.world import World

Meanwhile = Callable[[Account], object]


class Vault(DrillConnector):
    """The drill directory with passwords.

    ``before`` holds by a step's name what happens just before it, once: a rival, a pause, an error.
    """

    entry: Entry | None = Entry.CREDENTIAL

    def __init__(self) -> None:
        super().__init__(wait=lambda _seconds: None)
        self.passwords: dict[str, str] = {}
        self.ends: dict[str, datetime] = {}
        self.made: list[str] = []
        self.steps: list[str] = []
        self.asked = 0
        self.before: dict[str, Meanwhile] = {}

    @contextmanager
    def reach(self, instance_id: int) -> Iterator[Directory]:
        self.asked += 1
        with super().reach(instance_id) as directory:
            yield _Watched(self, directory)

    def come_to(self, step: str, account: Account) -> None:
        """Note a step, and let happen what is to happen before it."""
        self.steps.append(step)
        meanwhile = self.before.pop(step, None)
        if meanwhile is not None:
            meanwhile(account)

    def sign_in_hint(self, account: Account) -> dict[str, str]:
        return {"Server": "vault.example", "Command": f"open vault.example as {account.name}"}


class _Watched(Directory):
    def __init__(self, vault: Vault, inner: Directory) -> None:
        self._vault, self._inner = vault, inner

    def find(self, account: Account) -> Sequence[Found]:
        return self._inner.find(account)

    def add(self, account: Account) -> None:
        self._inner.add(account)

    def empower(self, account: Account, entry: Found) -> None:
        self._inner.empower(account, entry)

    def enable(self, account: Account, entry: Found, *, secret: str | None, until: datetime) -> None:
        self._vault.come_to("enable", account)
        if secret is not None:
            self._vault.passwords[account.name] = secret
        self._vault.ends[account.name] = until
        self._inner.enable(account, entry, secret=secret, until=until)

    def disable(self, account: Account, entry: Found) -> None:
        self._vault.come_to("disable", account)
        self._inner.disable(account, entry)

    def delete(self, account: Account, entry: Found) -> None:
        self._vault.come_to("delete", account)
        self._inner.delete(account, entry)

    def listed(self) -> Iterator[Found]:
        return self._inner.listed()

    def made_by(self, account: Account, entry: Found) -> Sequence[str]:
        self._vault.come_to("made_by", account)
        return self._vault.made


def raising(error: Exception) -> Callable[[Account], object]:
    """Let a step fail."""

    def meanwhile(_account: Account) -> None:
        raise error

    return meanwhile


def put_in(world: World, entry: Entry | None = Entry.CREDENTIAL) -> Vault:
    """Have every drill directory of an application be such a one."""
    vault = Vault()
    vault.entry = entry
    connectors(world.app)[DRILL] = vault
    return vault


def scene_with(world: World, vault: Vault) -> Scene:
    """An omniadmin, and an instance whose accounts are kept in the vault."""
    scene = new_scene(world)
    with transaction() as session:
        session.execute(update(VirtualInstance).where(VirtualInstance.id == scene.instance_id).values(connector=DRILL))
    return scene


def is_there(world: World, account_name: str | None) -> bool:
    """Tell whether an account is in the directory now; what timed out while it was deleted goes a little later."""
    return _entry(world, account_name) is not None


def is_open(world: World, account_name: str | None) -> bool:
    """Tell whether somebody gets in by an account there."""
    found = _entry(world, account_name)
    return found is not None and found.active


def _entry(world: World, account_name: str | None) -> DrillAccount | None:
    db.session.rollback()
    named = db.session.query(DrillAccount).filter_by(name=account_name).all()
    return next((one for one in named if one.gone_at is None or world.clock.now() < one.gone_at), None)
