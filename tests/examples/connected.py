"""tempadmin and a product as processes of their own, connected as the guide says, and somebody of support."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.bench.steps import present_code
from tests.loopback import Program, Visitor, free_port, running
from tests.tickets.servers import Server

ROOT = Path(__file__).parents[2]
TOKEN = "let-me-provision"
GROUP = "administrators"
OWN = "rosa"


@dataclass
class Supported:
    """A real tempadmin, and people of support at its instance acme."""

    server: Server
    given: list[int] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """The instance on its own host."""
        return f"http://acme.localhost:{self.server.port}"

    def support(self) -> Visitor:
        """One more omniadmin, signed in at the console: a code works once for each."""
        visitor = Visitor()
        visitor.cookie("tempadmin_session", self.server.cookies[len(self.given)], "localhost")
        self.given.append(len(self.given))
        return visitor

    def ask(self, visitor: Visitor, *, duration: str = "3600") -> str:
        """Ask for access and confirm it; return the one-time link."""
        console = f"http://localhost:{self.server.port}"
        visitor.get(f"{console}/instances/acme/request-access")
        visitor.post(form={"reason": "The start page shows an empty banner.", "duration": duration})
        visitor.post(f"{visitor.url}/confirmation")
        visitor.post(form={"code": present_code()})
        return visitor.found(r"http://acme[^\s\"<]+/login/ticket\?key=[\w.-]+")


@dataclass
class Connected(Supported):
    """An instance whose users live in the example product."""

    product: str = ""
    database: Path = Path()

    def people(self) -> dict[str, tuple[object, ...]]:
        """Everybody in the product's own table: id, whether active, password, version."""
        with sqlite3.connect(self.database) as rows:
            found = rows.execute("SELECT user_name, id, active, password, version FROM people").fetchall()
        return {name: tuple(values) for name, *values in found}

    def scim(self, path: str) -> int:
        """What SCIM answers for a path."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{self.product}/scim/v2{path}", headers=headers, trust_env=False).status_code


@contextmanager
def connected(folder: Path, *, operators: int, **settings: str) -> Iterator[Connected]:
    """Start both and connect them."""
    server = Server(folder / "tempadmin", operators=operators, mail_url="none", **settings)
    port = free_port()
    product = f"http://localhost:{port}"
    secrets = registered(
        server,
        login_uri=f"{product}/oidc/start",
        redirect_uri=f"{product}/oidc/return",
        post_logout_redirect_uri=f"{product}/",
        backchannel_logout_uri=f"{product}/oidc/logout",
        group=GROUP,
    )
    environment = {
        "PRODUCT_URL": product,
        "PRODUCT_SECRET_KEY": "k" * 40,
        "PRODUCT_DATABASE": str(folder / "product.db"),
        "PRODUCT_SCIM_TOKEN": TOKEN,
        "PRODUCT_ISSUER": f"http://acme.localhost:{server.port}",
        "PRODUCT_CLIENT_ID": secrets["client_id"],
        "PRODUCT_CLIENT_SECRET": secrets["client_secret"],
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "flask", "--app", "flask_product.app", "run", "--port", str(port)]
    program = Program(
        command, folder=ROOT / "examples", log=folder / "product.log", port=port, alive="/", **environment
    )
    with running(program):
        connection = folder / "connection.toml"
        connection.write_text(
            f'url = "{product}/scim/v2"\ntoken = "{TOKEN}"\nadministrator_group = "{GROUP}"\n', "utf-8"
        )
        said(server, "instance", "connect", "acme", "--connector", "scim", "--settings", str(connection))
        server.start()
        try:
            yield Connected(server, product=product, database=folder / "product.db")
        finally:
            server.stop()


def registered(server: Server, **details: str) -> dict[str, str]:
    """Register a product as the client of acme; return what it has to know, its secret too."""
    options = [word for name, value in details.items() for word in (f"--{name.replace('_', '-')}", value)]
    told: dict[str, str] = json.loads(said(server, "instance", "client", "acme", "--json", *options))
    return told


def said(server: Server, *words: str) -> str:
    """Run a command that has to go well; return what it printed."""
    done = server.command(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
