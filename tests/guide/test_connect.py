"""docs/connect/README.md, followed word for word: one of each kind is connected and visited, and nothing is left."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.bench.server import free_port
from tests.guide.newcomer import Newcomer
from tests.guide.pasting import Shell, sections
from tests.guide.test_several_machines import PROGRAM, ROOT
from tests.instances import postgresql_directory
from tests.instances.ldap_server import need_ldap
from tests.loopback import NAMES
from tests.programs import needed
from tests.tickets.servers import wait_for

GUIDE = ROOT / "docs/connect/README.md"
LEFT = """
SELECT (SELECT count(*) FROM access_requests WHERE state <> 'ended'),
  (SELECT count(*) FROM users WHERE kind = 'temporary')
"""
CHECKED = "All of it went well, and nothing is left there."
ACCOUNT = r"liferay_online_\d+_\d+"


class Trial:
    """A shell in which the guide was begun, and the guide's blocks."""

    def __init__(self, shell: Shell, ports: dict[str, str]) -> None:
        self.shell, self.ports, self.guide = shell, ports, sections(GUIDE, ports)
        self.product = f"http://localhost:{ports['5000']}"

    def paste(self, heading: str) -> str:
        """Paste what stands below a heading; return what the last block said."""
        return [self.shell.paste(block) for block in self.guide[heading]][-1]

    def nothing_is_left(self) -> bool:
        engine = create_engine(f"sqlite:///{self.shell.folder / 'data/tempadmin.db'}")
        with engine.connect() as connection:
            left = tuple(connection.execute(text(LEFT)).one())
        engine.dispose()
        return left == (0, 0)

    def colleague(self, name: str) -> Newcomer:
        return Newcomer.colleague(self.ports["8000"], self.shell, f"{name}@example.com")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """A new user's shell: an empty folder, the programs installed, a superuser's right on a PostgreSQL server."""
    server = postgresql_directory.server()
    ports = {port: str(free_port()) for port in ("8000", "5000", "6360")} | {"5432": str(server.port)}
    folder = tmp_path_factory.mktemp("connect")
    program = folder / "bin/tempadmin"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (folder / "site").mkdir()
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    ours = {"PATH": path, "PYTHONPATH": f"{NAMES}:{ROOT}", "SOURCE": str(ROOT)}
    superuser = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": server.user}
    opened = Shell(folder / "site", ours | superuser)
    begun = Trial(opened, ports)
    try:
        begun.paste("Begin")
        yield begun
        begun.paste("What can go wrong")
    finally:
        opened.close()
        server.drop("ledger")
        server.run("DROP ROLE IF EXISTS ledger_connector, ledger_admins, ledger_owner")


@pytest.mark.timeout(240)
def test_p1_a_product_with_scim_and_openid_connect_as_the_guide_has_it(trial: Trial) -> None:
    """Connected and checked; refused until its login is registered; then in at once, and out by its own Sign out."""
    assert CHECKED in trial.paste("A product with SCIM")
    with Newcomer(trial.ports["8000"], trial.shell) as visitor:
        visitor.enrol()
        visitor.sign_in()
        visitor.get(f"{visitor.console}/instances/parcels/request-access")
        assert "tempadmin instance client parcels" in visitor.text
        trial.paste("Signing in by OpenID Connect")
        assert visitor.enter("parcels") == f"{trial.product}/"
        assert re.search(rf"You are {ACCOUNT}, really Your Name, until", visitor.text)
        visitor.get("/admin")
        visitor.post("/sign-out")
    wait_for(trial.nothing_is_left, 30)
    with sqlite3.connect(trial.shell.folder / "parcels.db") as rows:
        assert rows.execute("SELECT count(*) FROM people").fetchone() == (0,)


@pytest.mark.timeout(240)
@pytest.mark.ldap
def test_p1_an_ldap_directory_as_the_guide_has_it(trial: Trial) -> None:
    """Connected and checked; the password that is shown once signs in there, until the account is gone."""
    need_ldap()
    assert CHECKED in trial.paste("An LDAP directory")
    with trial.colleague("lena") as visitor:
        visitor.enter("staff")
        name, password = shown(visitor)
        assert signs_in(trial, name, password)
        visitor.leave("staff")
    wait_for(trial.nothing_is_left, 30)
    assert not signs_in(trial, name, password)


@pytest.mark.timeout(240)
@pytest.mark.postgresql
def test_p1_a_postgresql_server_as_the_guide_has_it(trial: Trial) -> None:
    """Connected and checked; the password that is shown once opens a connection, which is cut off at the end."""
    assert CHECKED in trial.paste("A PostgreSQL server")
    with trial.colleague("pia") as visitor:
        visitor.enter("ledger")
        name, password = shown(visitor)
        facts = f"host=127.0.0.1 port={trial.ports['5432']} dbname=ledger user={name}"
        with psycopg.connect(facts, password=password, autocommit=True) as inside:
            inside.execute("CREATE TABLE notes (words text)")
            visitor.leave("ledger")
            wait_for(trial.nothing_is_left, 30)
            with pytest.raises(psycopg.OperationalError):
                inside.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(facts, password=password)


def shown(visitor: Newcomer) -> tuple[str, str]:
    """The account's name, and its password, on the page that shows it this once."""
    assert visitor.url.endswith("/support-session")
    visitor.post(f"{visitor.url}/password")
    return visitor.found(rf'value="({ACCOUNT})"'), visitor.found(r'id="password"[^>]*value="([^"]+)"')


def signs_in(trial: Trial, name: str, password: str) -> bool:
    """Try it as the guide says, the password given in a file instead of typed."""
    secret = trial.shell.folder / "password"
    secret.write_text(password)
    command = [needed("ldapwhoami", "ldap-utils"), "-H", f"ldaps://127.0.0.1:{trial.ports['6360']}", "-y", str(secret)]
    done = subprocess.run(
        [*command, "-D", f"uid={name},ou=people,dc=example,dc=org"],
        env={**os.environ, "LDAPTLS_CACERT": str(trial.shell.folder / "slapd.pem")},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 49}, done.stderr  # 49: these credentials are not right
    return done.returncode == 0
