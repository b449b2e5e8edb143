"""`tempadmin doctor` says that all is well when it is, and names what is not, with what to do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text, update

from tempadmin.accounts.models import User
from tempadmin.audit.models import AuditHead
from tempadmin.clock import SystemClock
from tempadmin.db import db, transaction
from tempadmin.doctor.cli import examine_all
from tempadmin.outbox.models import OutboxMessage
from tests.conftest import Build
from tests.diagnosis import diagnose, doctor, healthy_world
from tests.tamper import without_triggers
from tests.tempadmin.stage import everything
from tests.world import FakeClock, World

CHECKS = [
    "settings",
    "mail",
    "database",
    "migrations",
    "clock",
    "schema",
    "keys",
    "audit",
    "restored",
    "people",
    "outbox",
    "connections",
    "scheduler",
    "jobs",
    "openid",
    "access",
    "directories",
]
NEWER = "n" * 32


class Skewed(FakeClock):
    """The machine's clock, some seconds ahead."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return SystemClock().now() + self.skew


@pytest.fixture
def healthy(build: Build, request: pytest.FixtureRequest) -> World:
    return healthy_world(build, request)


def sql(statement: str) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text(statement))


def test_in_a_healthy_world_all_is_well(healthy: World) -> None:
    """One line for each check, all of them ok, exit code 0."""
    result = doctor(healthy)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["ok", name] for name in CHECKS]
    assert lines[-1] == "All is well."
    assert list(diagnose(healthy).found) == CHECKS


def test_looking_changes_nothing(healthy: World) -> None:
    """Neither rows nor files; on SQLite a database that is not there is not made."""
    before, files = everything(healthy), sorted(healthy.runtime.settings.data.rglob("*.eml"))
    assert doctor(healthy).exit_code == 0
    assert everything(healthy) == before
    assert sorted(healthy.runtime.settings.data.rglob("*.eml")) == files


def test_bad_settings_are_all_named(healthy: World) -> None:
    """Each by its name, nothing else is looked at, and no secret is repeated."""
    found = diagnose(
        healthy, TEMPADMIN_SECRET_KEYS="too-short", TEMPADMIN_WORKERS="many", TEMPADMIN_MODULES="os,no.such"
    )
    assert list(found.found) == ["settings"]
    assert found.exit_code == 1
    assert found.says("settings", "error", "secret_keys")
    assert found.says("settings", "error", "workers")
    assert "too-short" not in str(found)
    assert diagnose(healthy, TEMPADMIN_MODULES="os,no.such").says("settings", "error", "modules", "'no.such'")


@pytest.mark.parametrize("url", ["postgresql+psycopg://x@127.0.0.1:nonsense/y", "sqlite:///?no=such&option=1"])
def test_an_address_that_is_none_is_a_line(url: str, healthy: World) -> None:
    """What no engine can be made of, or connect to, is said like everything else."""
    found = diagnose(healthy, TEMPADMIN_DATABASE_URL=url)
    assert found.exit_code == 1
    assert {check for check, lines in found.found.items() if lines[0][0] == "error"} <= {"settings", "database"}


def test_a_database_that_does_not_answer_is_a_line(healthy: World) -> None:
    """With its address and without its password; what needs it is left out, and said so in one line."""
    url = "postgresql+psycopg://tempadmin:pa55word@127.0.0.1:1/tempadmin"
    found = diagnose(healthy, TEMPADMIN_DATABASE_URL=url)
    assert found.exit_code == 1
    assert found.says("database", "error", "127.0.0.1:1", "refused")
    assert found.says("schema", "warning", "not looked at", "migrations")
    people = doctor(healthy, TEMPADMIN_DATABASE_URL=url)
    assert "pa55word" not in people.output + str(found)
    assert "Traceback" not in people.output
    assert people.stdout.splitlines()[-1] == "1 finding wants attention."


@pytest.mark.only_sqlite
@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000, "folder"])
def test_a_file_that_is_no_database_is_a_line(content: bytes | str | None, healthy: World) -> None:
    """Missing, empty, garbage, a folder: each says what to do, and none is made."""
    file = healthy.runtime.settings.data / "other" / "tempadmin.db"
    file.parent.mkdir()
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    found = diagnose(healthy, TEMPADMIN_DATABASE_URL=f"sqlite:///{file}")
    assert found.exit_code == 1
    if content in (None, b""):
        assert found.says("migrations" if content == b"" else "database", "error", "run: tempadmin db upgrade")
    else:
        assert found.says("database", "error", "does not answer")
    assert file.exists() == (content is not None)


@pytest.mark.only_sqlite
def test_a_file_that_is_read_only_is_named(healthy: World) -> None:
    """It answers, and takes no writes."""
    url = f"sqlite:///file:{healthy.runtime.settings.data}/tempadmin.db?mode=ro&uri=true"
    assert diagnose(healthy, TEMPADMIN_DATABASE_URL=url).says("database", "error", "readonly")


@pytest.mark.only_postgresql
def test_a_server_that_is_read_only_is_named(healthy: World) -> None:
    """As a standby is, or a server whose disk is full and whose owner stopped the writing."""
    sql(f'ALTER DATABASE "{db.engine.url.database}" SET default_transaction_read_only = on')
    assert diagnose(healthy).says("database", "error", "takes no writes")


@pytest.mark.parametrize(
    ("revision", "advice"), [("0001", "run: tempadmin db upgrade"), ("9999", "install the version that made it")]
)
def test_a_database_of_another_version_is_named(revision: str, advice: str, healthy: World) -> None:
    """An older one is to be upgraded; a newer one belongs to a newer version."""
    sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    assert diagnose(healthy).says("migrations", "error", revision, advice)


def test_a_changed_schema_is_named(healthy: World) -> None:
    """A trigger that is gone and an index that is gone, each in a line of its own."""
    sql("DROP INDEX uq_tickets_live")
    with without_triggers():
        found = diagnose(healthy)
    assert found.says("schema", "error", "tickets: index uq_tickets_live is missing", "tempadmin audit verify")
    assert found.says("schema", "error", "audit_events: trigger")
    assert set(found.bad) == {"schema"}


@pytest.mark.parametrize(("seconds", "level"), [(-3, "error"), (-1, "ok"), (0, "ok"), (1, "ok"), (3, "error")])
def test_a_clock_that_differs_from_the_databases_is_named(seconds: int, level: str, build: Build) -> None:
    """Beyond two seconds, in either direction."""
    build(clock=Skewed(seconds))
    (line,) = [line for line in examine_all() if line.check == "clock"]
    assert line.finding.level == level
    assert ("ahead of" if seconds > 0 else "behind") in line.finding.message or level == "ok"


def test_a_key_that_was_taken_away_is_named(healthy: World) -> None:
    """Whose second factor does not open, and that the chains' key is gone too; with both keys all is well."""
    found = diagnose(healthy, TEMPADMIN_SECRET_KEYS=NEWER)
    assert found.says("keys", "error", "1 of 1", "ada@operator.example", "secret_keys")
    assert found.says("audit", "error", "chain of operator")
    assert diagnose(healthy, TEMPADMIN_SECRET_KEYS=f"{NEWER},{'k' * 32}").exit_code == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_events WHERE instance_id = 2 AND number = 2",
        "DELETE FROM audit_events WHERE instance_id = 2 AND number > 1",
        "DELETE FROM audit_heads WHERE instance_id = 2",
        "UPDATE audit_heads SET number = number + 1 WHERE instance_id = 2",
        "UPDATE audit_events SET details = '{}' WHERE hash = (SELECT hash FROM audit_heads WHERE instance_id = 2)",
        f"UPDATE audit_heads SET hash = '{'0' * 64}' WHERE instance_id = 2",
    ],
)
def test_a_chain_that_does_not_end_as_its_head_says_is_named(statement: str, healthy: World) -> None:
    """A gap, a cut tail, a head that is gone or another."""
    with without_triggers():
        sql(statement)
    found = diagnose(healthy)
    assert found.says("audit", "error", "chain of acme", "tempadmin audit verify")
    assert set(found.bad) == {"audit"}


def test_an_installation_without_people_says_what_comes_next(healthy: World) -> None:
    """First a default instance, then an omniadmin."""
    with transaction(as_service=True) as session:
        session.execute(update(User).values(active=False))
    assert diagnose(healthy).says("people", "warning", "no omniadmin can sign in", "tempadmin omniadmin create")


def test_an_account_that_carries_a_reserved_name_is_named(healthy: World) -> None:
    """As start-up would, which refuses then (P7)."""
    found = diagnose(healthy, TEMPADMIN_USER_EMAIL_DOMAIN="acme.example")
    assert found.says("people", "error", "member@acme.example")


def test_mails_that_wait_are_named(healthy: World) -> None:
    """With what the server said, after a quarter of an hour."""
    late = {"attempts": 3, "sent_at": None, "next_attempt_at": healthy.clock.now(), "last_error": "the server said no"}
    for minutes, exit_code in ((14, 0), (16, 1)):
        since = healthy.clock.now() - timedelta(minutes=minutes)
        with transaction(as_service=True) as session:
            session.execute(update(OutboxMessage).values(created_at=since, **late))
        found = diagnose(healthy)
        assert found.exit_code == exit_code
    assert found.says("outbox", "warning", "the server said no")


def test_of_very_many_faults_people_see_the_first(healthy: World) -> None:
    """And how many more there are; JSON holds them all."""
    with transaction(as_service=True) as session:
        session.add_all([AuditHead(instance_id=number, number=1, hash="0" * 64) for number in range(100, 150)])
    assert "… and 30 more" in doctor(healthy).stdout
    assert len(diagnose(healthy).found["audit"]) == 50


def test_a_check_that_fails_itself_is_a_line(healthy: World) -> None:
    """The others go on."""
    sql("ALTER TABLE second_factors RENAME TO elsewhere")
    found = diagnose(healthy)
    assert found.says("keys", "error", "cannot be looked at")
    assert found.says("schema", "error", "second_factors: the table is missing")
    assert found.says("access", "ok")
