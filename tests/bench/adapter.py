"""Our adapter for the load driver that measures services of this kind side by side: standard library only.

The driver names this file by ``TEMPADMIN_ADAPTER`` and imports nothing else of ours; ``peer.py`` beside it makes the
database. The second factor is given before the link exists, so the request step holds both, and opening the link is
what decides.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from adapters.base import SEED_B32, Adapter
from client import Browser, totp

ROOT = Path(__file__).parents[2]
CONSOLE = "localhost"
LINK = re.compile(r'http://([\w.-]+):\d+(/login/ticket\?key=[\w.-]+)"')
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
ACCESS = re.compile(r"/access/[\w-]{20,}")
FORM_TYPE = "application/x-www-form-urlencoded"


class TempAdmin(Adapter):
    """Two workers as ``tempadmin serve`` starts them, the scheduler inside, every promise on."""

    name = "tempadmin"
    steps = ("request", "redeem", "page", "end")
    _operators: list[dict[str, str]] | None = None
    _tenants: list[str] | None = None
    _next = 0

    def python(self) -> str:
        """The interpreter of an environment in which tempadmin is installed."""
        return os.environ.get("TEMPADMIN_PYTHON", str(ROOT / ".venv" / "bin" / "python"))

    def command(self) -> list[str]:
        """Return what serves."""
        serve = "from tempadmin.cli import main; main()"
        return [self.python(), "-c", serve, "serve", "--port", str(self.port)]

    def cwd(self) -> str:
        """Return the folder of the sources."""
        return str(ROOT)

    def env(self) -> dict[str, str]:
        """Return the settings: full durability; ceilings on changes alone are off."""
        driver, _, path = self.db_url.partition("://")
        url = self.db_url if driver == "sqlite" else f"postgresql+psycopg://{path}"
        values = {
            "data": tempfile.mkdtemp(dir=self.work, prefix="data-"),
            "database_url": url,
            "base_url": f"http://{CONSOLE}:{self.port}",
            "secret_keys": "side-by-side-" * 4,
            "mail_url": "none",
            "rate_limits": "off",
            "session_lifetime": "86400",
            "session_idle": "86400",
            "workers": str(self.workers),
        }
        return {**super().env(), **{f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}}

    def manage_command(self) -> list[str]:
        """Return what makes the database."""
        return [self.python(), "-m", "tests.bench.peer"]

    def versions(self) -> dict[str, str]:
        """Return the commit and the versions of what carries most."""
        commit = subprocess.check_output(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], text=True).strip()
        found: dict[str, str] = self.python_versions(self.python(), "flask", "sqlalchemy", "gunicorn", "psycopg")
        return {"tempadmin": commit, **found}

    def tenant(self, i: int) -> str:
        """Return the web id of the i-th instance."""
        if TempAdmin._tenants is None:
            TempAdmin._tenants = [row["slug"] for row in _read(self.work, "tenants.json")[:1000]]
        return TempAdmin._tenants[i]

    async def login(self, op: Browser, i: int) -> bool:
        """Take the session of an operator who signed in before."""
        op.host, op.origin = CONSOLE, f"http://{CONSOLE}:{self.port}"
        await self._take(op)
        return True

    async def request(self, op: Browser, tenant: str) -> dict[str, Any] | None:
        """Ask, open the confirmation, give the second factor; the answer holds the link."""
        token = await self._take(op)
        form = {"reason": "A bench asks for it.", "duration": "3600", "csrf_token": token}
        made = await op.post(f"/instances/{tenant}/request-access", form=form)
        page = ACCESS.search(made.header("location") or "")
        if made.status != 303 or page is None:
            return None
        opened = await op.post(f"{page[0]}/confirmation", form={"csrf_token": token})
        target = urlsplit(opened.header("location") or "")
        answer = {"code": totp(SEED_B32), "csrf_token": token}
        confirmed = await op.post(f"{target.path}?{target.query}", form=answer)
        link = LINK.search(confirmed.text)
        return None if link is None else {"host": link[1], "link": link[2], "op": op}

    async def redeem(self, b: Browser, ticket: dict[str, Any]) -> bool:
        """Open the link on the instance, be known at the console, come back: then the session exists."""
        b.host, b.origin = ticket["host"], f"http://{ticket['host']}:{self.port}"
        console = Browser(CONSOLE, self.port)
        console.jar, console.conn = dict(ticket["op"].jar), b.conn
        came = await b.get(ticket["link"])
        if came.status != 303:
            return False
        console.conn = b.conn
        known = await console.get(_target(came))
        b.last = known
        if known.status != 303:
            return False
        back = await b.get(_target(known))
        return bool(back.status == 303) and "tempadmin_session" in b.jar

    async def totp(self, b: Browser, ticket: dict[str, Any]) -> bool:
        """Nothing is left to give: there was no link without it."""
        return True

    async def page(self, b: Browser, ticket: dict[str, Any]) -> bool:
        """Look at the people of the instance."""
        b.host = ticket["host"]
        return bool((await b.get("/users")).status == 200)

    async def end(self, b: Browser, ticket: dict[str, Any]) -> bool:
        """Log out and delete the account; the page after it says so once it is gone."""
        token = TOKEN.search(b.last.text)
        gone = await b.post("/support-session/leave", form={"csrf_token": token[1] if token else ""})
        return bool(gone.status == 303)

    def list_path(self, query: str | None) -> str:
        """Return the list of virtual instances."""
        return "/instances" + (f"?q={quote(query)}" if query else "")

    def list_ok(self, response: Any) -> bool:
        """Tell whether a list came, also one without rows."""
        return response.status == 200 and b"Virtual instances" in response.body

    async def _take(self, op: Browser) -> str:
        """Be the next operator: a code of the authenticator works once in its time step; return the form's token."""
        if TempAdmin._operators is None:
            TempAdmin._operators = _read(self.work, "tempadmin-operators.json")
        one = TempAdmin._operators[TempAdmin._next % len(TempAdmin._operators)]
        TempAdmin._next += 1
        op.jar = {"tempadmin_session": one["session"]}
        return one["token"]


def _read(work: str, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(Path(work, name).read_text("utf-8"))
    return found


def _target(response: Any) -> str:
    parts = urlsplit(response.header("location") or "")
    return f"{parts.path}?{parts.query}"
