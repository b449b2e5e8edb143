"""Who plays before a process is killed: an omniadmin with a session and a customer of their own for every kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select

from instances.connectors.base import Account, ConnectorError, Entry
from instances.connectors.drill import DRILL, DrillConnector
from instances.directory import Acting
from instances.models import DrillAccount, VirtualInstance
from tempadmin.accounts import sessions
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, LoginSession, User
from tempadmin.db import db
from tests.tickets.asked import acting, change
from tests.tickets.scenes import Scene, bring, new_scene
from tests.tickets.scenes import sign_in as open_session
from tests.world import World
from tickets.states import State

Prepare = Callable[[World], "Cast"]
Act = Callable[[World, "Cast"], object]
A = TypeVar("A", bound=Act)


@dataclass
class Cast:
    """One omniadmin and one customer whom nobody else's kill concerns; ``held`` is what else they have in hand."""

    world: World
    scene: Scene
    held: dict[str, Any] = field(default_factory=dict)
    by_hand: bool = False
    """Somebody spoiled something before: it need not be well before the daily sweep."""

    @property
    def session_id(self) -> int:
        """The omniadmin's first session, dead or alive."""
        db.session.rollback()
        mine = select(func.min(LoginSession.id)).where(LoginSession.user_id == self.scene.user_id)
        return db.session.scalar(mine) or 0

    def person(self, name: str, role: str = MEMBER) -> User:
        """Somebody on the customer's instance; made when there is nobody of that name."""
        db.session.rollback()
        address = f"{name}@{self.scene.web_id}.example"
        found = db.session.scalars(select(User).where(User.email == address)).one_or_none()
        return found or self.world.user(db.session.get_one(VirtualInstance, self.scene.instance_id), address, role=role)

    def rosa(self) -> Acting:
        """The customer's administrator, at work."""
        return acting(self.person("rosa", ADMINISTRATOR).id)

    def colleague(self) -> Acting:
        """A second omniadmin, at work."""
        db.session.rollback()
        address = f"bea-{self.scene.web_id}@operator.example"
        found = db.session.scalars(select(User.id).where(User.email == address)).one_or_none()
        return acting(found or self.world.omniadmin(address).id)

    def session_of(self, user: User) -> int:
        """A session of somebody else; its id."""
        user_id = user.id
        open_session(self.world, user)
        return max(sessions.live_ids(user_id=user_id))


@dataclass(frozen=True)
class Scenario:
    """What is there before, and what is killed at each of its steps and then tried again."""

    name: str
    prepare: Prepare
    act: Act
    everywhere: bool
    """Killed whenever it comes to a point, and not only where nobody was killed yet."""
    one_by_one: bool
    """Its kills would be in each other's way: everything heals between them."""


SCENARIOS: dict[str, Scenario] = {}


def killed(prepare: Prepare, *, everywhere: bool = False, one_by_one: bool = False) -> Callable[[A], A]:
    """Have a process killed at each step of a function; its name is the scenario's."""

    def add(act: A) -> A:
        assert act.__name__ not in SCENARIOS
        SCENARIOS[act.__name__] = Scenario(act.__name__, prepare, act, everywhere, one_by_one)
        return act

    return add


def brought(
    until: State | None = None, *, connector: str = DRILL, entry: Entry = Entry.PANEL, **policy: bool
) -> Prepare:
    """Say how far an access has come before; how its account is entered is decided when it is asked."""

    def prepare(world: World) -> Cast:
        DIRECTORY.entry = entry
        cast = Cast(world, new_scene(world))
        change(VirtualInstance, cast.scene.instance_id, connector=connector, **policy)
        cast.rosa()
        if until is not None:
            bring(world, cast.scene, until)
        DIRECTORY.entry = Entry.PANEL
        return cast

    return prepare


class Directory(DrillConnector):
    """A directory outside our transactions, with bad days; ``meanwhile`` happens while an account is being made."""

    create_error: ConnectorError | None = None
    remove_error: ConnectorError | None = None
    exists_error: ConnectorError | None = None
    activate_error: ConnectorError | None = None
    made: Sequence[str] = ()
    """What each account is said to have made."""
    once_let_in: Callable[[], None] | None = None
    """Happens while an account is being let in."""
    meanwhile: Callable[[], None] | None = None

    def create(self, account: Account, *, still_wanted: Callable[[], None]) -> None:
        if self.create_error is not None:
            raise self.create_error
        super().create(account, still_wanted=still_wanted)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def activate(
        self, account: Account, *, secret: str | None, until: datetime, still_wanted: Callable[[], None]
    ) -> None:
        if self.activate_error is not None:
            raise self.activate_error
        super().activate(account, secret=secret, until=until, still_wanted=still_wanted)
        once_let_in, self.once_let_in = self.once_let_in, None
        if once_let_in is not None:
            once_let_in()

    def made_by(self, account: Account) -> Sequence[str]:
        return self.made

    def exists(self, account: Account) -> bool:
        if self.exists_error is not None:
            raise self.exists_error
        return super().exists(account)

    def remove(self, account: Account) -> None:
        if self.remove_error is not None:
            raise self.remove_error
        super().remove(account)


DIRECTORY = Directory()


@contextmanager
def bad_day(**moods: Any) -> Iterator[None]:
    """Let the directory be unwell for as long as this lasts."""
    for name, mood in moods.items():
        setattr(DIRECTORY, name, mood)
    try:
        yield
    finally:
        for name in moods:
            setattr(DIRECTORY, name, None)


def accounts_elsewhere() -> list[str]:
    """What is proven ours in the directories outside our transactions."""
    return list(db.session.scalars(select(DrillAccount.name).where(DrillAccount.marker.is_not(None))))
