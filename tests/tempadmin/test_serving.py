"""What is looked at before the first request, and what a worker does without."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tempadmin import schema
from tempadmin.db import db, transaction
from tests.world import CONSOLE, KEYS, World

COMMANDS = {"alembic", "flask_migrate", "mako", "playwright", "pytest"}
FEW_PAGES = {
    *("segno", "email_validator", "dns"),  # a new device's picture, a new person's address
    *("authlib", "joserfc", "httpx", "httpcore", "anyio", "scim2_models", "scim2_client", "ldap"),  # products
    *("psycopg", "redis", "prometheus_client"),  # PostgreSQL, a Redis, metrics: where the settings name them
}
LOADED = """
import json, sys
from tempadmin.cli import build
build(["serve"])
from tempadmin.app import create_app
create_app()
print(json.dumps(sorted(sys.modules)))
"""


def test_the_revisions_are_those_that_alembic_finds(world: World) -> None:
    """A start looks at the names of the files; Alembic reads the files."""
    scripts = ScriptDirectory(str(schema.MIGRATIONS))
    present, newest, known = schema.revisions()
    assert present == newest == set(scripts.get_heads())
    assert known == {one.revision for one in scripts.walk_revisions()}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = '0001'",
        "UPDATE alembic_version SET version_num = '9999'",
        "INSERT INTO alembic_version VALUES ('9999')",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
def test_s43_any_other_revision_is_not_served(change: str, world: World) -> None:
    """An older one, a newer one, two, none, and a database that no migration ever saw."""
    with transaction() as session:
        session.execute(text(change))
    db.session.remove()
    assert schema.why_unusable() is not None


@pytest.mark.only_sqlite
def test_workers_do_without_what_only_commands_or_few_pages_need(world: World) -> None:
    """Alembic and its templates took a fifth of the time of all imports; what few pages need comes with the first."""
    settings = {"DATA": str(world.runtime.settings.data), "BASE_URL": CONSOLE, "SECRET_KEYS": KEYS[0]}
    environment = {**os.environ, **{f"TEMPADMIN_{name}": value for name, value in settings.items()}}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, check=True, capture_output=True, text=True)
    modules = json.loads(done.stdout)
    loaded = {name.partition(".")[0] for name in modules}
    assert {"flask", "sqlalchemy", "tickets"} <= loaded
    assert loaded & COMMANDS == set()
    assert loaded & FEW_PAGES == set()
    assert "sqlalchemy.dialects.postgresql" not in modules
    assert [name for name in modules if re.match(r"(tempadmin|instances|scheduler|tickets)\..*cli$", name)] == [
        "tempadmin.cli"
    ]
