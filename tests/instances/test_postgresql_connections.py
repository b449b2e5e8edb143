"""The connections that are kept between two calls, and servers that do not answer."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import closing
from time import monotonic

import psycopg
import pytest

from instances.connectors.base import Account, ConnectorError
from instances.connectors.postgresql.connector import PostgresqlConnector
from instances.models import VirtualInstance
from tests.instances.conftest import MakeTemporary
from tests.instances.postgresql_directory import CONNECTOR, Roles, connect, look, server, settings_of
from tests.world import World

pytestmark = pytest.mark.only_sqlite

OURS = "SELECT pid FROM pg_stat_activity WHERE usename = %s ORDER BY pid"


@pytest.fixture
def roles(world: World, birch: VirtualInstance, temporary: MakeTemporary) -> Roles:
    return Roles(world, birch, temporary)


@pytest.fixture
def account(roles: Roles) -> Account:
    return roles.reserve(77)


def look_up(roles: Roles, account: Account) -> None:
    """Make one call."""
    with roles.connector.reach(account.instance_id) as directory:  # type: ignore[attr-defined]
        assert directory.find(account) == []


def open_ones() -> list[int]:
    return [pid for (pid,) in look(OURS, CONNECTOR)]


def until_open(number: int) -> None:
    """Wait until so many connections of ours are open: a server takes a moment to see a farewell."""
    for _ in range(500):
        if len(open_ones()) == number:
            return
        threading.Event().wait(0.01)
    raise AssertionError(open_ones())


def test_one_connection_serves_call_after_call(roles: Roles, account: Account) -> None:
    """To connect would take longer than all the rest."""
    look_up(roles, account)
    first = open_ones()
    look_up(roles, account)
    assert open_ones() == first
    assert len(first) == 1


def test_a_connection_that_broke_is_noticed_before_it_is_used(roles: Roles, account: Account) -> None:
    """The server restarted, an administrator ended it: nobody hears of that."""
    look_up(roles, account)
    (first,) = open_ones()
    server().run(f"SELECT pg_terminate_backend({first}, 5000)")
    look_up(roles, account)
    assert first not in open_ones()


def test_what_failed_half_way_is_not_used_again(roles: Roles, account: Account) -> None:
    """A connection within a transaction, or with an answer under way, is closed."""
    with roles.connector.reach(account.instance_id) as directory:  # type: ignore[attr-defined]
        directory._line.execute("BEGIN")
    assert roles.connector._kept._servers[account.instance_id].idle == []  # type: ignore[attr-defined]
    until_open(0)


def test_a_change_of_the_settings_holds_at_once(
    world: World, birch: VirtualInstance, roles: Roles, account: Account
) -> None:
    """No connection with the old ones stays open."""
    look_up(roles, account)
    connect(world, birch, settings_of(user="tester", password=None))
    look_up(roles, account)
    until_open(0)


def test_threads_never_share_a_connection(world: World, roles: Roles, account: Account) -> None:
    """Six at once get one each; four of those are kept."""
    together, failed = threading.Barrier(6), []

    def look_once() -> None:
        with world.app.app_context(), roles.connector.reach(account.instance_id) as directory:  # type: ignore[attr-defined]
            together.wait(timeout=10)
            if directory.find(account):
                failed.append(account)

    threads = [threading.Thread(target=look_once) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed
    until_open(4)


def test_connections_are_closed_with_their_connector(roles: Roles, account: Account) -> None:
    """An application that goes leaves nothing open at somebody's server."""
    look_up(roles, account)
    del roles.connector
    until_open(0)


def test_what_stays_idle_is_closed(roles: Roles, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's connections are few, and its owner's."""
    monkeypatch.setattr("instances.connectors.postgresql.kept.IDLE_SECONDS", 0.05)
    look_up(roles, account)
    until_open(0)


def test_a_child_leaves_its_parents_connections_alone(roles: Roles, account: Account) -> None:
    """Whatever it said on them, even a farewell, would end up in the parent's conversation."""
    look_up(roles, account)
    before = open_ones()
    child = os.fork()
    if child == 0:
        with_none = not roles.connector._kept._servers  # type: ignore[attr-defined]
        roles.connector._kept.close()  # type: ignore[attr-defined]
        os._exit(0 if with_none else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    look_up(roles, account)
    assert open_ones() == before


def test_a_server_that_stands_still_is_not_waited_for(roles: Roles, account: Account) -> None:
    """Its own time-outs stand still, too: the call is over in time, and a later one uses another connection."""
    look_up(roles, account)
    (pid,) = open_ones()
    roles.connector.timeout /= 20
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        with pytest.raises(ConnectorError, match="no answer in time") as refused:
            look_up(roles, account)
        assert monotonic() - begun < 2
        assert not refused.value.permanent
    finally:
        os.kill(pid, signal.SIGCONT)
    look_up(roles, account)


def test_a_port_where_nobody_speaks_is_not_waited_for(
    world: World, birch: VirtualInstance, roles: Roles, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing; one where nobody listens refuses at once."""
    monkeypatch.setattr("instances.connectors.postgresql.line.CONNECT_SECONDS", 2)  # psycopg's least
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        connect(world, birch, settings_of(port=silent.getsockname()[1]))
        with pytest.raises(ConnectorError, match="timeout expired") as refused:
            look_up(roles, account)
        assert not refused.value.permanent
    with pytest.raises(ConnectorError, match="Connection refused") as refused:
        look_up(roles, account)
    assert (refused.value.permanent, refused.value.setting) == (False, "host")


def test_nothing_of_the_environment_decides_where_a_call_goes(
    world: World, roles: Roles, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts the service has perhaps a server of their own."""
    for name, value in {"PGOPTIONS": "-c work_mem=oops", "PGSSLMODE": "require", "PGHOSTADDR": "127.0.0.9"}.items():
        monkeypatch.setenv(name, value)
    with PostgresqlConnector().open(settings_of(), 1) as directory:
        assert directory.find(account) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="127.0.0.1", port=server().port, user="tester", dbname="postgres")
