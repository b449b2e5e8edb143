"""The network that the chaos cuts is cut indeed, and heals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from tests.chaos.proxy import Network
from tests.postgresql import Cluster

pytestmark = pytest.mark.postgresql
TRIES = 12


@pytest.fixture
def network(cluster: Cluster) -> Iterator[Network]:
    with closing(Network(cluster.port, "seed")) as through:
        yield through


def connect(network: Network) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=network.port, user="tester", dbname="postgres", connect_timeout=2, autocommit=True
    )


def test_a_cut_connection_is_dead_and_the_next_one_works(network: Network) -> None:
    """Whoever spoke on it hears of it at their next word."""
    with closing(connect(network)) as first:
        assert network.tell("cut") == 1
        with pytest.raises(psycopg.OperationalError):
            first.execute("SELECT 1")
    with closing(connect(network)) as second:
        assert second.execute("SELECT 1").fetchall() == [(1,)]


def test_a_hole_swallows_newcomers_until_it_heals(network: Network) -> None:
    """They are taken and never answered, as by a network that drops packets."""
    network.tell("hole", share=1)
    with pytest.raises(psycopg.OperationalError):
        connect(network)
    network.tell("heal")
    with closing(connect(network)) as one:
        assert one.execute("SELECT 1").fetchall() == [(1,)]


def test_of_lost_commits_some_took_effect_and_some_did_not(network: Network, cluster: Cluster) -> None:
    """To who committed they look alike: the connection died."""
    cluster.run("CREATE TABLE IF NOT EXISTS committed (number integer)")
    network.tell("lose", share=1)
    for number in range(TRIES):
        with closing(connect(network)) as one, suppress(psycopg.OperationalError):
            one.execute("BEGIN")
            one.execute("INSERT INTO committed VALUES (%s)", (number,))
            one.execute("COMMIT")
            raise AssertionError("a lost commit was acknowledged")
    network.tell("heal")
    with closing(connect(network)) as one:
        (found,) = one.execute("SELECT count(*) FROM committed").fetchall()
    cluster.run("DROP TABLE committed")
    assert 0 < found[0] < TRIES
