"""What has to be known of a PostgreSQL server: what is refused at once, and what a look at the server finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.connector import PostgresqlConnector
from instances.connectors.postgresql.settings import PostgresqlSettings
from instances.connectors.settings import WrongSettings, checked
from tests.instances.postgresql_directory import (
    CONNECTOR,
    ITS_PASSWORD,
    OWNER,
    RIGHTS,
    certificate,
    server,
    settings_of,
    trusted,
)
from tests.world import World

pytestmark = pytest.mark.only_sqlite

GOOD = {"host": "db.example", "user": "connector", "password": "x", "roles": ["admins"], "reassign_to": "owner"}


def test_little_has_to_be_said() -> None:
    """Verified TLS, the port and the database that every server has; several roles also in one line."""
    settings = checked(PostgresqlSettings, {**GOOD, "roles": "admins, Readers of all", "port": "", "ca_file": ""})
    assert (settings.port, settings.database, settings.sslmode) == (5432, "postgres", "verify-full")
    assert settings.roles == ("admins", "Readers of all")
    assert settings.ca_file is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ""),
        ("host", "one,two"),
        ("host", "db.example sslmode=disable"),
        ("port", 0),
        ("port", "many"),
        ("user", "u" * 64),
        ("roles", []),
        ("roles", ["ü" * 32]),
        ("roles", ["connector"]),
        ("reassign_to", ""),
        ("reassign_to", "connector"),
        ("connection_limit", -2),
        ("sslmode", "prefer"),
        ("sslmode", "disable"),
        ("password", "a\0b"),
        ("ca_file", "none"),
        ("ca_file", "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----"),
        ("search_path", "public"),
    ],
)
def test_each_wrong_setting_is_named(field: str, value: object) -> None:
    """Before anything is stored or tried, and without its value."""
    with pytest.raises(WrongSettings) as wrong:
        checked(PostgresqlSettings, {**GOOD, field: value})
    assert {name.partition(".")[0] for name in wrong.value.problems} == {field}


def test_a_root_of_ones_own_is_needed_where_names_are_not_compared() -> None:
    """Any certificate of any name from any authority would do otherwise."""
    with pytest.raises(WrongSettings) as wrong:
        checked(PostgresqlSettings, {**GOOD, "sslmode": "verify-ca"})
    assert set(wrong.value.problems) == {"ca_file"}
    checked(PostgresqlSettings, {**GOOD, "sslmode": "verify-ca", "ca_file": certificate()})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "/var/run/postgresql"])
def test_without_tls_only_this_machine_is_reached(host: str) -> None:
    """A password's proof and what administrators do would be read on the way."""
    assert checked(PostgresqlSettings, {**GOOD, "host": host, "sslmode": "disable"}).is_near


def steps(**changes: object) -> list[str]:
    with PostgresqlConnector().open(settings_of(**changes), 1) as directory:
        return list(directory.probe())


def test_the_look_at_a_server_tells_each_step(world: World) -> None:
    """Connected, may make roles, may end sessions, may grant, may hand over."""
    said = "\n".join(steps())
    assert f"Connected to 127.0.0.1:{server().port}, database postgres, as {CONNECTOR}, without TLS" in said
    for word in ("may make roles", "may end sessions", RIGHTS, OWNER):
        assert word in said
    assert steps(user="tester", password=None)
    assert "without TLS" in steps(host=str(server().folder), password=None)[0], "by its Unix socket"
    with pytest.raises(ConnectorError, match=r"database postgres: No such file or directory") as wrong:
        steps(host=str(server().folder), port=1)
    assert not wrong.value.permanent


def test_the_servers_certificate_is_compared_with_its_name(world: World) -> None:
    """Its own certificate is trusted for its own address; another name needs one of that name, or `verify-ca`."""
    assert "protected by TLS" in steps(sslmode="verify-full", ca_file=trusted())[0]
    with pytest.raises(ConnectorError, match="certificate") as wrong:
        steps(host="localhost", sslmode="verify-full", ca_file=trusted())
    assert (wrong.value.setting, wrong.value.permanent) == ("ca_file", True)
    assert "protected by TLS" in steps(host="localhost", sslmode="verify-ca", ca_file=trusted())[0]


def test_without_certificates_of_its_own_the_systems_are_trusted(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wheel's OpenSSL finds none by itself (seen); `SSL_CERT_FILE` names others, as for every program."""
    (tmp_path / "roots.pem").write_text(trusted())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setattr("instances.connectors.postgresql.line.BUNDLES", (str(tmp_path / "roots.pem"),))
    assert "protected by TLS" in steps(sslmode="verify-full")[0]
    monkeypatch.setattr("instances.connectors.postgresql.line.BUNDLES", ())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    assert "protected by TLS" in steps(sslmode="verify-full")[0]


@pytest.fixture
def weak(world: World) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    name = "weak"
    server().run(f"CREATE ROLE {name} LOGIN PASSWORD '{ITS_PASSWORD.replace(chr(39), chr(39) * 2)}'")
    server().run(f'GRANT "{RIGHTS}" TO {name} WITH ADMIN OPTION')  # from PostgreSQL 16 on, CREATEROLE is not enough
    yield name
    server().run(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("changes", "setting", "words"),
    [
        ({"password": SecretStr("wrong, and nobody's business")}, "password", "password authentication failed"),
        ({"password": None}, "password", "no password supplied"),
        ({"database": "nowhere"}, "database", 'database "nowhere" does not exist'),
        ({"database": "closed"}, "host", "not currently accepting connections"),
        ({"sslmode": "verify-full"}, "ca_file", "certificate verify failed"),
        ({"sslmode": "verify-full", "ca_file": certificate()}, "ca_file", "certificate verify failed"),
        ({"roles": (RIGHTS, "nobody")}, "roles", "there is no role nobody"),
        ({"roles": ("tester",)}, "roles", "which nobody would remove with the account"),
        ({"reassign_to": "nobody"}, "reassign_to", "there is no role nobody"),
        ({"reassign_to": "tester"}, "reassign_to", "may make roles"),
        ({"reassign_to": "pg_monitor"}, "reassign_to", f"GRANT pg_monitor TO {CONNECTOR}"),
    ],
)
def test_what_is_wrong_is_said_with_its_setting(
    world: World, changes: dict[str, object], setting: str, words: str
) -> None:
    """What was tried, what came back, what to grant; a password is in none of it."""
    with pytest.raises(ConnectorError, match=words) as wrong:
        steps(**changes)
    assert wrong.value.setting == setting
    assert wrong.value.permanent == (setting != "host")
    assert "business" not in str(wrong.value)
    assert ITS_PASSWORD not in str(wrong.value)


def test_a_role_that_may_not_make_roles_is_found_out(weak: str) -> None:
    """Each right that is missing is named with the statement that gives it."""
    for statement, words in (
        (f"ALTER ROLE {weak} CREATEROLE", "may not make roles"),
        (f"GRANT pg_signal_backend TO {weak}", "may not end sessions"),
        (f'GRANT "{OWNER}" TO {weak}', "may not hand over"),
    ):
        with pytest.raises(ConnectorError, match=words) as wrong:
            steps(user=weak)
        assert statement in str(wrong.value)
        server().run(statement)
    assert steps(user=weak)
