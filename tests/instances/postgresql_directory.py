"""A PostgreSQL server whose roles are the accounts, for the connectors' contract: real, and asked for passwords."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from datetime import timedelta
from functools import cache
from ipaddress import ip_address

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from psycopg import sql
from pydantic import SecretStr

from instances import connections
from instances.connectors.base import Account
from instances.connectors.postgresql.connector import PostgresqlConnector
from instances.connectors.postgresql.settings import PostgresqlSettings
from instances.models import Connection, VirtualInstance
from tempadmin.clock import SystemClock
from tempadmin.db import transaction
from tests import postgresql
from tests.conftest import need_postgresql
from tests.instances.conftest import MakeTemporary
from tests.instances.directories import Drilled
from tests.world import World

CONNECTOR, ITS_PASSWORD = "tempadmin_connector", "the connector's own secret"
RIGHTS, OWNER = "app administrators", "App_Owner"
CLOSED = "closed"
HOUR = timedelta(hours=1)
SECRET = "pKx7-mV4w-Rt9z-Hc3n-Yq6d"
HBA = """
local all all trust
host all tester 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
SERVER = {"fsync": "off", "log_statement": "all"}
"""How the server is started; a bench wants it durable, and quiet."""

OURS = {"tester", CONNECTOR, RIGHTS, OWNER}


@cache
def server() -> postgresql.RunningCluster:
    """The server of this test process, with the roles that an operator makes as the guide says."""
    need_postgresql()
    started = postgresql.until_the_end.enter_context(
        postgresql.cluster(hba=HBA, max_prepared_transactions="5", **SERVER)
    )
    postgresql.until_the_end.callback(started.halt, signal.SIGINT)  # whoever is still connected
    _protect(started)
    started.run(f'CREATE ROLE "{RIGHTS}" NOLOGIN; CREATE ROLE "{OWNER}" NOLOGIN')
    started.run(f"CREATE ROLE {CONNECTOR} LOGIN CREATEROLE PASSWORD '{ITS_PASSWORD.replace(chr(39), chr(39) * 2)}'")
    started.run(f'GRANT "{RIGHTS}" TO {CONNECTOR} WITH ADMIN OPTION; GRANT "{OWNER}", pg_signal_backend TO {CONNECTOR}')
    started.run(f"CREATE DATABASE {CLOSED}")
    for name in ("postgres", CLOSED):
        with started.connect(name) as one:
            one.execute(f'GRANT CREATE ON DATABASE {name} TO "{RIGHTS}", "{OWNER}"')
            one.execute(f'GRANT CREATE ON SCHEMA public TO "{RIGHTS}", "{OWNER}"')
    started.run(f"ALTER DATABASE {CLOSED} ALLOW_CONNECTIONS false")
    return started


def _protect(started: postgresql.RunningCluster) -> None:
    """Have it speak TLS, too, as 127.0.0.1 and under no name."""
    data = started.folder / "data"
    key = ec.generate_private_key(ec.SECP256R1())
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content in (("server.crt", certificate(key)), ("server.key", clear.decode())):
        path = data / name
        path.write_text(content)
        path.chmod(0o600)
        os.chown(path, data.stat().st_uid, data.stat().st_gid)
    started.run("ALTER SYSTEM SET ssl = on")
    started.run("SELECT pg_reload_conf()")


def certificate(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """A certificate for 127.0.0.1 that nobody else has signed."""
    key, now = key or ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - HOUR, now + 24 * HOUR)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def trusted() -> str:
    """The server's own certificate."""
    return (server().folder / "data" / "server.crt").read_text()


def settings_of(**changes: object) -> PostgresqlSettings:
    """Settings with which the connector gets on with the server."""
    usual: dict[str, object] = {
        "host": "127.0.0.1",
        "port": server().port,
        "user": CONNECTOR,
        "password": SecretStr(ITS_PASSWORD),
        "roles": (RIGHTS,),
        "reassign_to": OWNER,
        "sslmode": "disable",
    }
    return PostgresqlSettings.model_validate({**usual, **changes})


def connect(world: World, instance: VirtualInstance, settings: PostgresqlSettings) -> None:
    """Store an instance's settings."""
    with transaction() as session:
        row = session.get(Connection, instance.id) or Connection(instance_id=instance.id)
        row.changed_at = world.clock.now()
        connections.put(row, settings, runtime=world.runtime)
        session.add(row)


class Roles(Drilled):
    """The roles of the server; those of former tests go first."""

    def __init__(self, world: World, instance: VirtualInstance, temporary: MakeTemporary, **changes: object) -> None:
        super().__init__(world, instance, temporary)
        world.clock.time = SystemClock().now()  # the server has a clock of its own, and judges `VALID UNTIL` by it
        self.connector = PostgresqlConnector()
        _clear()
        for one in (instance, world.instance("cedar-bank")):
            connect(world, one, settings_of(**changes))

    def is_administrator(self, account: Account) -> bool:
        query = "SELECT pg_has_role(oid, %s, 'USAGE') FROM pg_roles WHERE rolname = %s"
        return look(query, RIGHTS, account.name) == [(True,)]

    def can_sign_in(self, account: Account) -> bool:
        return look("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", account.name) == [(True,)]

    def lets_in(self, account: Account, secret: str) -> bool:
        try:
            entered(account, secret).close()
        except psycopg.OperationalError:
            return False
        return True

    def makes_something(self, account: Account, secret: str) -> str | None:
        with closing(entered(account, secret)) as session:
            session.execute("CREATE TABLE public.invoices (number integer)")
        return "table public.invoices in database postgres"

    def turn_into_stranger(self, account: Account) -> None:
        server().run(f"COMMENT ON ROLE \"{account.name}\" IS 'theirs'")

    def add_stranger(self, name: str) -> None:
        self.add(name, marker=None)

    def add(self, name: str, *, marker: str | None) -> None:
        with server().connect("postgres") as one:
            one.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
            one.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), sql.Literal(marker)))

    def jam(self, account: Account) -> None:
        server().run(f"ALTER DATABASE {CLOSED} ALLOW_CONNECTIONS true")
        with server().connect(CLOSED) as one:
            one.execute(f'CREATE SCHEMA AUTHORIZATION "{account.name}"')
        server().run(f"ALTER DATABASE {CLOSED} ALLOW_CONNECTIONS false")


def let_in(world: World, roles: Roles) -> Account:
    """Make an account, and let it in for an hour."""
    account, until = roles.reserve(77), world.clock.now() + timedelta(hours=1)
    roles.connector.create(account, still_wanted=lambda: None)
    roles.connector.activate(account, secret=SECRET, until=until, still_wanted=lambda: None)
    return account


def entered(account: Account, secret: str, **changes: str) -> psycopg.Connection:
    """Log in as a person does who was shown the password."""
    parameters = {"host": "127.0.0.1", "port": server().port, "dbname": "postgres", "user": account.name, **changes}
    return psycopg.connect(**parameters, password=secret, autocommit=True)  # type: ignore[arg-type]


def look(query: str, *parameters: object, database: str = "postgres") -> list[tuple]:
    """Read as the superuser."""
    with server().connect(database) as one:
        return one.execute(query, parameters).fetchall()


def _clear() -> None:
    """Take away what former tests left, however they ended."""
    server().run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename <> 'tester'")
    server().run("DROP TABLE IF EXISTS public.invoices")
    server().run("DROP DATABASE IF EXISTS theirs WITH (FORCE)")
    names = [name for (name,) in look("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'") if name not in OURS]
    if not names:
        return
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    server().run(f"ALTER DATABASE {CLOSED} ALLOW_CONNECTIONS true")
    for database in ("postgres", CLOSED):
        with server().connect(database) as one:
            one.execute(f"DROP OWNED BY {quoted} CASCADE")
    server().run(f"ALTER DATABASE {CLOSED} ALLOW_CONNECTIONS false")
    server().run(f"DROP ROLE {quoted}")
