"""Canaille 0.3.6 as the SCIM server of an instance: the contract of every connector, word for word, against it.

`PRODUCTS` names a folder whose `canaille` is a virtual environment with Canaille in it:
`pip install 'Canaille[front,oidc,scim,server,sqlite]==0.3.6' 'scim2-models==0.10.0'`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from instances.connectors.base import Account, ConnectorError
from instances.connectors.scim.connector import ScimConnector
from instances.connectors.scim.settings import ScimSettings
from instances.connectors.settings import checked
from instances.models import VirtualInstance
from tests.instances import conftest as fixtures
from tests.instances import test_activation_contract, test_connector_contract
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import Embedded
from tests.instances.scim_directory import connect, settings_for
from tests.instances.scim_server import new_product
from tests.products.canaille import CLIENT, GROUP, SECRET, Canaille, canaille
from tests.world import World

pytestmark = [pytest.mark.products, pytest.mark.only_sqlite]

birch, temporary = fixtures.birch, fixtures.temporary
activate = test_activation_contract.activate
CANNOT_BE_JAMMED = {
    "test_p11_one_that_will_not_go_does_not_keep_the_others",
    "test_p3_an_account_that_will_not_go_is_shut_first",
}
"""Canaille deletes whatever it is told to delete."""


def _contract(module: ModuleType) -> dict[str, object]:
    """The tests of a contract that speak of any directory."""
    return {
        name: test
        for name, test in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and "directory" in inspect.signature(test).parameters
    }


def ours(product: Canaille, **changes: str) -> dict[str, str | None]:
    """The settings of a connection to it."""
    return {
        "token": None,
        "token_url": f"{product.base}/oauth/token",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "administrator_group": GROUP,
        "marker_attribute": "title",
        **changes,
    }


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaille]:
    named = os.environ.get("PRODUCTS")
    if named is None:
        pytest.fail("PRODUCTS names no folder; run: make products")
    with canaille(Path(named).absolute() / "canaille/bin/canaille", tmp_path_factory.mktemp("canaille")) as running:
        yield running


class InCanaille(Embedded):
    """Canaille; what it keeps of `title` is where our marker goes."""

    batch = 1

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary, product: Canaille) -> None:
        super().__init__(world, instance, temporary)
        self.connector, self.product = ScimConnector(), product
        product.clear()
        connect(world, instance.id, product, **ours(product))
        connect(world, world.instance("next-door").id, new_product())

    def is_administrator(self, account: Account) -> bool:
        return account.name in self.product.administrators()

    def can_sign_in(self, account: Account) -> bool:
        return self.product.users().get(account.name, {}).get("active") is True

    def turn_into_stranger(self, account: Account) -> None:
        self.product.change(account.name, "title", "theirs")

    def add_stranger(self, name: str) -> None:
        self.product.put(name)


@pytest.fixture
def directory(world: World, birch: VirtualInstance, temporary: MakeTemporary, product: Canaille) -> InCanaille:
    return InCanaille(world, birch, temporary, product)


globals().update(
    (name, test)
    for module in (test_connector_contract, test_activation_contract)
    for name, test in _contract(module).items()
    if name not in CANNOT_BE_JAMMED
)


def test_its_life_step_by_step(world: World, directory: InCanaille, product: Canaille) -> None:
    """What Canaille shows of an account after each step of ours."""
    account = directory.reserve(77)
    settings = checked(ScimSettings, settings_for(product, **ours(product)))

    def see(step: str) -> None:
        user = product.users().get(account.name)
        shown = {name: user.get(name) for name in ("active", "title", "externalId")} if user else "not there"
        print(f"{step}: {shown}; members of {GROUP}: {product.administrators()}")

    print()
    with ScimConnector().open(settings, account.instance_id) as reached:
        for step in reached.probe():
            print("probe:", step)
        see("at first")
        reached.add(account)
        (entry,) = reached.find(account)
        see("add")
        reached.empower(account, entry)
        see("empower")
        reached.enable(account, entry, secret=None, until=world.clock.now())
        see("enable")
        print("listed:", [(one.name, one.ours) for one in reached.listed()])
        reached.disable(account, entry)
        see("disable")
        reached.delete(account, entry)
        see("delete")
        assert reached.find(account) == []
    assert set(product.users()) == {"jane"}
    assert product.administrators() == ["jane"]


def test_its_duplicate_is_an_html_500_and_its_names_have_a_case(directory: InCanaille, product: Canaille) -> None:
    """A page with status 500 for a name that is there; one in capitals is another account, and ours is not made."""
    account = directory.reserve(77)
    product.put(account.name.upper())
    with pytest.raises(ConnectorError) as refused:
        directory.connector.create(account, still_wanted=test_connector_contract.wanted)
    print(f"\na twin in capitals: {refused.value}")
    assert refused.value.permanent
    assert set(product.users()) == {"jane", account.name.upper()}


def test_it_drops_external_ids(world: World, directory: InCanaille, product: Canaille) -> None:
    """What it made without our marker goes at once."""
    account = directory.reserve(77)
    connect(world, account.instance_id, product, **ours(product, marker_attribute="externalId"))
    with pytest.raises(ConnectorError) as refused:
        directory.connector.create(account, still_wanted=test_connector_contract.wanted)
    print(f"\nby externalId: {refused.value}")
    assert refused.value.setting == "marker_attribute"
    assert set(product.users()) == {"jane"}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"client_secret": "another"}, "client_secret"),
        ({"token_url": "/oauth/nothing"}, "token_url"),
        ({"url": "/scim/v3"}, "url"),
        ({"administrator_group": "operators"}, "administrator_group"),
    ],
)
def test_each_wrong_setting_is_named_by_what_it_says(
    world: World, directory: InCanaille, product: Canaille, changes: dict[str, str], setting: str
) -> None:
    """A probe against the real thing."""
    given = {name: f"{product.base}{value}" if value.startswith("/") else value for name, value in changes.items()}
    settings = checked(ScimSettings, settings_for(product, **ours(product, **given)))
    with pytest.raises(ConnectorError) as refused, ScimConnector().open(settings, 1) as reached:
        list(reached.probe())
    print(f"\n{changes}: [{refused.value.setting}] {refused.value}")
    assert refused.value.setting == setting
