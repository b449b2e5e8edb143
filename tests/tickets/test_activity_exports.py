"""The history as files: harmless in spreadsheets (S41), ended with the right to see it (P3), never whole in memory."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context

import pytest
from sqlalchemy import event, insert

from tempadmin.db import db
from tempadmin.web import streams
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import ACME, ACME_HOST
from tests.tickets.watched import BOSS, Watched, both_kinds, enter, people
from tests.world import World
from tickets.models import TEMPORARY_ADMIN, AccessRequest, Activity

FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1")
FORMS = ("csv", "json")


def add_rows(inside: Watched, count: int) -> None:
    """Write more visits of this access, as if they had been made."""
    values = {"instance_id": 2, "actor_id": 1, "actor_name": "Ada Brandt", "subject_id": 9, "status": 200}
    words = {"method": "GET", "path": "/users", "did": "Looked at users"}
    moment = {"occurred_at": inside.world.clock.now(), "request_id": inside.request_id}
    with db.engine.begin() as connection:
        connection.execute(insert(Activity), [{**values, **words, **moment}] * count)


def as_stream(browser: Browser, url: str) -> Iterator[str]:
    """Ask for a file, and read it piece by piece."""
    response = Context().run(browser.client.open, url)
    assert response.status_code == 200
    return (piece.decode() for piece in response.iter_encoded())


def rows_in(form: str, text: str) -> list[dict[str, str]]:
    """What a program reads in a file."""
    return list(json.loads(text)) if form == "json" else list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("form", FORMS)
def test_the_files_hold_what_the_pages_show(world: World, form: str) -> None:
    """Every access, and every visit in one, newest first, names and words included."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    inside.ada.get(ACME + "/users?q=secret")
    inside.ada.get(ACME + "/nowhere")
    inside.ada.get(ACME + "/users")
    inside.ada.post(ACME + "/support-session/leave")
    boss = world.signed_in(BOSS, ACME)
    answer = boss.get(f"{ACME}/support-access/export.{form}")
    assert answer.headers["Content-Disposition"] == f"attachment; filename=support-access.{form}"
    assert (answer.headers["Cache-Control"], form in answer.content_type) == ("no-store", True)
    (access,) = rows_in(form, answer.get_data(as_text=True))
    told = {name: access[name] for name in ("id", "requester_name", "state", "end_reason", "ended_by")}
    names = {"requester_name": "Ada Brandt", "ended_by": "Ada Brandt"}
    assert told == {"id": inside.public_id, "state": "ended", "end_reason": "logout", **names}
    assert str(access["requests"]) == "5"
    assert access["account_name"].startswith("liferay_online_")
    visits = rows_in(form, boss.get(f"{inside.page}/activity.{form}").get_data(as_text=True))
    assert [(row["who"], row["method"], row["path"], str(row["status"])) for row in visits] == [
        ("Ada Brandt", method, path, str(status)) for method, path, status in reversed(inside.told())
    ]
    assert boss.get(f"{ACME}/support-access/export.xml").status_code == 404
    assert boss.get(f"{inside.page}/activity.xml").status_code == 404


def test_s41_no_cell_is_a_formula(world: World) -> None:
    """Reasons, names and paths that begin like formulas come with an apostrophe, in every column."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    found = world.request(inside.request_id)
    names = ("requester_name", "subject_name", "account_name", "reason", "external_ticket", "ended_by_name")
    with db.engine.begin() as connection:
        for number, formula in enumerate(FORMULAS):
            row = {column.name: getattr(found, column.name) for column in AccessRequest.__table__.columns}
            over = {"public_id": f"x{number}", "state": "ended", "end_reason": "logout"}
            row |= {**over, **dict.fromkeys(names, formula)}
            del row["id"]
            connection.execute(insert(AccessRequest).values(row))
            visit = {"request_id": found.id, "instance_id": found.instance_id, "actor_id": 1, "subject_id": 9}
            words = dict.fromkeys(("actor_name", "path", "did"), formula)
            moment = {"method": "=GET", "status": 200, "occurred_at": world.clock.now()}
            connection.execute(insert(Activity).values(**visit, **words, **moment))
    boss = world.signed_in(BOSS, ACME)
    for page in (f"{ACME}/support-access/export", inside.page + "/activity"):
        text = boss.get(page + ".csv").get_data(as_text=True)
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        assert [cell for cell in cells if cell.startswith(streams.FORMULA_STARTS)] == [], page
        assert [formula for formula in FORMULAS if f"'{formula}" not in cells] == [], page
        plain = [
            value for row in rows_in("json", boss.get(page + ".json").get_data(as_text=True)) for value in row.values()
        ]
        assert [formula for formula in FORMULAS if formula not in plain] == [], page


@both_kinds
def test_s25_an_export_is_a_row_of_its_own(world: World, kind: str) -> None:
    """What support takes along is told to the customer in words."""
    people(world)
    inside = enter(world, kind)
    for form in FORMS:
        assert inside.ada.get(f"{ACME}/support-access/export.{form}").status_code == 200
        assert inside.last().did == "Exported the history of support access"
        assert inside.ada.get(f"{inside.page}/activity.{form}").status_code == 200
        assert inside.last().did == "Exported what was done in one access"
    assert inside.counted() == len(inside.rows()) == 5


def ended_by_customer(inside: Watched, boss: Browser) -> None:
    boss.get(ACME + "/support-access")
    assert boss.post(inside.page + "/end").status_code == 303


def time_is_up(inside: Watched, boss: Browser) -> None:
    inside.world.clock.advance(hours=1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", [ended_by_customer, time_is_up])
def test_p3_a_file_ends_with_the_access(world: World, form: str, end: Callable[[Watched, Browser], None]) -> None:
    """Between two pieces support's access ends: the file says so, and is no longer than what was sent."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    add_rows(inside, 2 * streams.CHUNK)
    boss = world.signed_in(BOSS, ACME)
    pieces = as_stream(inside.ada, f"{inside.page}/activity.{form}")
    text = next(pieces)
    while "/users" not in text:
        text += next(pieces)
    end(inside, boss)
    text += "".join(pieces)
    rows = rows_in(form, text)
    assert len(rows) == streams.CHUNK + 1
    assert streams.CUT_OFF in str(rows[-1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["export", "activity"])
def test_p3_a_customers_file_ends_with_their_session(world: World, form: str, name: str) -> None:
    """The administrator signs out elsewhere while the file is on its way: both files stop."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    add_rows(inside, streams.CHUNK)
    found = world.request(inside.request_id)
    row = {
        column.name: getattr(found, column.name) for column in AccessRequest.__table__.columns if column.name != "id"
    }
    copies = [{**row, "public_id": f"x{number}", "state": "ended", "end_reason": "logout"} for number in range(1_001)]
    with db.engine.begin() as connection:
        connection.execute(insert(AccessRequest), copies)
    boss = world.signed_in(BOSS, ACME)
    url = f"{ACME}/support-access/export.{form}" if name == "export" else f"{inside.page}/activity.{form}"
    pieces = as_stream(boss, url)
    text = next(pieces) + ("" if form == "json" else next(pieces))
    other = world.browser(ACME)
    other.client.set_cookie(SESSION_COOKIE, boss.cookie(SESSION_COOKIE, ACME_HOST) or "", domain=ACME_HOST)
    other.get(ACME + "/logout")
    assert other.post(ACME + "/logout").status_code == 303
    rows = rows_in(form, text + "".join(pieces))
    assert (len(rows), streams.CUT_OFF in str(rows[-1])) == (streams.CHUNK + 1, True)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_takes_the_same_memory_however_long_it_is(world: World, form: str) -> None:
    """Never more than a thousand rows are read at a time, nor held; each piece is sent before the next is read."""
    people(world)
    inside = enter(world, TEMPORARY_ADMIN)
    boss = world.signed_in(BOSS, ACME)
    peaks = []
    for more in (2_000, 6_000):
        add_rows(inside, more)
        tracemalloc.start()
        with loaded() as held:
            for piece in as_stream(boss, f"{inside.page}/activity.{form}"):
                assert piece.count("Looked at users") <= streams.CHUNK
                assert len(held) <= streams.CHUNK
                held.clear()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3


@contextmanager
def loaded() -> Iterator[list[int]]:
    """Collect which rows of activity are read."""
    held: list[int] = []

    def note(row: Activity, _context: object) -> None:
        held.append(row.id)

    event.listen(Activity, "load", note)
    yield held
    event.remove(Activity, "load", note)
