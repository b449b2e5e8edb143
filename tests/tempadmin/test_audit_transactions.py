"""The record is written with the change or the change is not made; numbers have no gap (S50, S53, P13)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import event, select, text

from tempadmin.accounts import omniadmins
from tempadmin.audit import queries
from tempadmin.audit.log import SERVICE, record
from tempadmin.audit.models import AuditEvent, AuditHead
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.tempadmin.conftest import Play
from tests.tempadmin.stage import ACME, ADMIN, OMNIADMIN, SESSION_COOKIE, TEMPORARY, Stage, everything
from tests.tempadmin.test_routes import TABLE
from tests.world import CONSOLE, PASSWORD, World, link_in

WRITING = [
    name for name in TABLE if name.startswith("POST ") and "on" in TABLE[name]["console"] + TABLE[name]["customer"]
]
# Choosing one's own time zone is no decision, running a job has its own table, where there is no other session to end
# nothing happens that could be recorded, and what products post without a token is asked again by GET.
UNRECORDED = {
    "POST /account",
    "POST /account/sessions/end-others",
    "POST /jobs/<name>/run",
    "POST /oidc/authorize",
    "POST /oidc/logout",
}
REFUSE = "CREATE TRIGGER no_record BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'the record is full'); END"


REFUSE_ON_POSTGRESQL = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the record is full'; END $$",
    "CREATE TRIGGER no_record BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()",
)


def break_the_record(world: World) -> None:
    """Let the database refuse every new audit event."""
    statements = [REFUSE] if db.engine.dialect.name == "sqlite" else REFUSE_ON_POSTGRESQL
    with transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def faults(world: World) -> list[object]:
    db.session.rollback()
    return [fault for one in queries.instance_ids() for fault in queries.verify(instance_id=one, runtime=world.runtime)]


@pytest.mark.parametrize("name", [name for name in WRITING if name not in UNRECORDED])
def test_s50_without_its_record_no_change_is_made_by_a_page(name: str, stage: Stage, play: Play) -> None:
    """Every form that changes something answers an error, and the database is as it was."""
    row, world = TABLE[name], play()
    place, person = next(
        (place, person)
        for place, person in (("console", OMNIADMIN), ("customer", ADMIN), ("customer", TEMPORARY))
        if row[place][{OMNIADMIN: 3, ADMIN: 2, TEMPORARY: 4}[person]] == "on"
    )
    browser = stage.browser(world, place, person)
    browser.get("/login")
    break_the_record(world)
    before = everything(world)
    url = row.get("open", name.split(" ")[1]).format(**stage.words)
    answer = browser.post(url, row.get("form", {}))
    assert answer.status_code >= 500
    assert "the record is full" not in browser.page
    assert everything(world) == before


@pytest.mark.parametrize("step", ["sign-in", "sign-out", "confirm", "new link", "code", "entering"])
def test_s50_without_its_record_nobody_gets_a_step_further(step: str, stage: Stage, play: Play) -> None:
    """Signing in and out, confirming, a new link, the hand-off's code and the redemption are not made either."""
    world, words = play(), stage.words
    ada, ben = stage.browser(world, "console", OMNIADMIN), world.signed_in("ben@operator.example")
    link = f"{ACME}/login/ticket?key={words['login_key']}"
    ways: dict[str, Callable[[Browser], object]] = {
        "sign-out": lambda one: one.post("/logout"),
        "confirm": lambda one: one.post(f"/access/confirm?key={words['confirm_key']}", {"code": world.next_code()}),
        "new link": lambda one: one.post(f"/access/{words['ready']}/new-link"),
        "code": lambda one: one.get(f"/access/enter?request={words['ready']}&challenge={words['challenge']}"),
    }
    fresh = world.browser()
    fresh.get("/login")
    fresh.post("/login", {"email": "ada@operator.example", "password": PASSWORD}, follow=True)
    ada.get("/logout")
    to_console = ben.get(link).headers["Location"]
    back = ben.get(to_console).headers["Location"] if step == "entering" else ""
    world.clock.advance(seconds=30)
    break_the_record(world)
    before = everything(world)
    if step == "sign-in":
        fresh.post("/login/verify", {"code": world.code()})
        assert fresh.cookie(SESSION_COOKIE, "localhost") is None
    elif step == "entering":
        ben.get(back)
        assert ben.cookie(SESSION_COOKIE, "acme.localhost") is None
    else:
        ways[step](ada)
    after = everything(world)
    assert after == before


def test_s50_without_its_record_no_command_changes_anything(world: World) -> None:
    """Creating, disabling and resetting an omniadmin from the command line are not made either."""
    world.omniadmin()
    break_the_record(world)
    before = everything(world)
    for use_case in (
        lambda: omniadmins.create_omniadmin(
            instance_id=1, email="new@operator.example", full_name="New", runtime=world.runtime
        ),
        lambda: omniadmins.disable_omniadmin(instance_id=1, email="ada@operator.example", runtime=world.runtime),
        lambda: omniadmins.reset_factor(instance_id=1, email="ada@operator.example", runtime=world.runtime),
    ):
        with pytest.raises(Exception, match="the record is full"):
            use_case()
    assert everything(world) == before


def test_s50_the_record_is_the_last_thing_that_a_transaction_writes(world: World) -> None:
    """Heads and events come after every other statement, and nothing but the commit after them."""
    world.omniadmin()
    written: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.split(" ", maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE"):
            written.append(statement.replace("INTO ", "").replace("FROM ", "").split(" ")[1])

    event.listen(db.engine, "before_cursor_execute", note)
    omniadmins.disable_omniadmin(instance_id=1, email="ada@operator.example", runtime=world.runtime)
    event.remove(db.engine, "before_cursor_execute", note)
    first = min(at for at, table in enumerate(written) if table.startswith("audit_"))
    assert written[:first]
    assert {table for table in written[first:] if not table.startswith("audit_")} == set()


def test_s50_writers_at_once_leave_no_gap(world: World) -> None:
    """Eight threads write to two chains, and each chain has every number once, in order."""
    start, problems = threading.Barrier(8), []

    def write(number: int) -> None:
        with world.app.app_context():
            start.wait(timeout=30)
            for turn in range(10):
                try:
                    with transaction():
                        for instance_id in (1, 2):
                            record(
                                f"t{number}", instance_id=instance_id, actor=SERVICE, at=world.clock.now(), turn=turn
                            )
                        if turn == 5:
                            raise ValueError  # noqa: TRY301 - a failing rival must not take a number with it
                except ValueError:
                    pass
                except Exception as error:  # noqa: BLE001
                    problems.append(error)
            db.session.remove()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert problems == []
    for instance_id in (1, 2):
        query = select(AuditEvent.number).where(AuditEvent.instance_id == instance_id).order_by(AuditEvent.number)
        numbers = list(db.session.scalars(query))
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) == 72
        assert db.session.get_one(AuditHead, instance_id).number == 72
    assert faults(world) == []


def test_s50_an_event_outside_a_transaction_is_refused(world: World) -> None:
    """It would be lost, so it is an error at once."""
    with pytest.raises(RuntimeError, match="open transaction"):
        record("lost", instance_id=1, actor=SERVICE, at=world.clock.now())


def test_s53_the_record_of_a_support_session_names_the_real_person(world: World) -> None:
    """Whatever is changed inside stands under the omniadmin's own id and name, with the request, in that chain."""
    ada = world.omniadmin()
    acme = world.instance("acme")
    person = world.user(acme, "per@acme.example")
    browser = world.signed_in()
    request = world.enter(browser, "acme")
    known = db.session.scalar(select(AuditEvent.id).order_by(AuditEvent.id.desc()).limit(1)) or 0
    for url, form in (
        ("/users/invite", {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "member"}),
        (f"/users/{person.id}", {"full_name": "Per Ås", "role": "member"}),
        (f"/users/{person.id}/deactivate", {}),
        (f"/users/{person.id}/activate", {}),
        ("/settings", {"name": "Acme & Sons", "time_zone": ""}),
        ("/support-session/leave", {}),
    ):
        browser.get(ACME + "/")
        assert browser.post(ACME + url, form).status_code == 303, (url, browser.text)
    db.session.rollback()
    events = list(db.session.scalars(select(AuditEvent).where(AuditEvent.id > known).order_by(AuditEvent.id)))
    assert len(events) >= 6
    assert {one.instance_id for one in events} == {acme.id}
    assert {one.request_id for one in events} == {request.id}
    theirs = [one for one in events if one.actor_id is not None]
    assert {(one.actor_id, one.actor_name) for one in theirs} == {(ada.id, "Ada Brandt")}
    assert {one.event for one in events} - {one.event for one in theirs} <= {"access.ended"}
    assert not any((request.account_name or "-") in one.actor_name for one in events)
    assert faults(world) == []


def test_p12_no_secret_is_in_the_record(world: World) -> None:
    """Neither keys nor codes nor session ids of the whole way in stand in any event."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    world.ask(ada, "acme")
    mailed = link_in(world.mails()[-1])
    shown = world.confirm(ada)
    ada.get(shown, follow=True)
    secrets = [mailed.partition("key=")[2], shown.partition("key=")[2], world.code(), PASSWORD]
    secrets += [ada.cookie(SESSION_COOKIE, host) or "" for host in ("localhost", "acme.localhost")]
    secrets += world.runtime.settings.keys()
    db.session.rollback()
    written = " ".join(str(row) for row in db.session.execute(text("SELECT * FROM audit_events")).all())
    assert "access.entered" in written
    assert [secret for secret in secrets if secret in written] == []
    assert CONSOLE + "/access/confirm" not in written
