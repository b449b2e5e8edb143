"""*Support access*: who sees what of it, and that it stands long after those are gone of whom it tells (S31, S54)."""

from __future__ import annotations

from sqlalchemy import select, text

from tempadmin.accounts.models import User
from tempadmin.db import db, transaction
from tests.browser import Browser
from tests.statements import statements
from tests.tickets.evidence import ACME
from tests.tickets.watched import BOSS, KINDS, MIA, Watched, all_rows, both_kinds, enter, people, person
from tests.world import CONSOLE, World
from tickets.models import IMPERSONATION, TEMPORARY_ADMIN, AccessRequest, Activity

FILES = ("/activity.csv", "/activity.json")
TOM = "tom@acme.example"
MOST = 6
"""The instance by its host, the session with its user, the note that it was used, the requests with their answers,
the newest activity, and the policy with the accounts that support made."""
OF_USER = ("recovery_codes", "second_factors", "invitations")


def leave(inside: Watched) -> None:
    """Look around a little, try what is refused, and leave."""
    for path in ("/users", "/account/password", "/nowhere", "/settings"):
        inside.ada.get(ACME + path)
    inside.ada.get(ACME + "/users")
    assert inside.ada.post(ACME + "/support-session/leave").status_code == 303


def delete_user(user_id: int) -> None:
    """No use case deletes people; a database administrator can."""
    with transaction() as session:
        for table in OF_USER:
            session.execute(text(f"DELETE FROM {table} WHERE user_id = :id"), {"id": user_id})
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": user_id})


def history_of(browser: Browser, inside: Watched) -> str:
    """What a reader sees of an access: the list, the record and both files."""
    assert browser.get(ACME + "/support-access").status_code == 200
    told = browser.text
    assert browser.get(inside.page).status_code == 200
    told += browser.text
    for name in FILES:
        answer = browser.get(inside.page + name)
        assert answer.status_code == 200
        told += answer.get_data(as_text=True)
    return told


def test_s31_each_sees_what_concerns_them(world: World) -> None:
    """Administrators see every access; a member those as them; others' ids are 404, in every address and file."""
    acme = people(world)
    world.user(acme, TOM)
    other = world.instance("other")
    world.administrator(other, "eve@other.example")
    accesses = {TEMPORARY_ADMIN: enter(world, TEMPORARY_ADMIN)}
    leave(accesses[TEMPORARY_ADMIN])
    accesses[IMPERSONATION] = enter(world, IMPERSONATION, subject=MIA)
    for address, sees in ((BOSS, KINDS), (MIA, (IMPERSONATION,)), (TOM, ()), ("eve@other.example", ())):
        host = "http://other.localhost:8000" if "other" in address else ACME
        reader = world.signed_in(address, host)
        for kind, inside in accesses.items():
            reader.get(host + "/support-access")
            assert (inside.public_id in reader.page) == (kind in sees), (address, kind)
            assert (inside.public_id in reader.get(host + "/support-access/export.json").text) == (kind in sees)
            for tail in ("", *FILES):
                answer = reader.get(f"{host}/support-access/{inside.public_id}{tail}")
                assert answer.status_code == (200 if kind in sees else 404), (address, kind, tail)
            if kind not in sees:
                for act in ("approve", "reject", "end", "extension/1/approve", "extension/1/reject"):
                    reader.get(host + "/account/password")
                    assert reader.post(f"{host}/support-access/{inside.public_id}/{act}").status_code == 404
    assert world.request(accesses[IMPERSONATION].request_id).state == "active"


@both_kinds
def test_s25_a_denied_attempt_is_shown(world: World, kind: str) -> None:
    """What support tried and was refused stands there in words, marked, while it lasts and afterwards."""
    people(world)
    inside = enter(world, kind)
    ada = inside.ada
    ada.get(ACME + "/account/password")
    ada.get(ACME + "/users/invite")
    ada.post(ACME + "/account/second-factor/remove")
    ada.post(ACME + "/support-access/policy")
    boss = world.signed_in(BOSS, ACME)
    for page in ("/support-access", "/support-access/live", f"/support-access/{inside.public_id}"):
        boss.get(ACME + page)
        for words in (
            "Tried to open the page for the user's password: refused",
            "Tried to remove the user's second factor: refused",
            "Tried to change the support policy: refused",
        ):
            assert words in boss.text, (page, words)
        assert boss.page.count('class="refused"') == 3


@both_kinds
def test_s25_what_support_made_and_changed_is_marked(world: World, kind: str) -> None:
    """The page and the access's record name each such account, and how it came to be there."""
    people(world)
    inside = enter(world, kind)
    ada = inside.ada
    ada.get(ACME + "/users/invite")
    ada.post(ACME + "/users/invite", {"full_name": "Kai Berg", "email": "kai@acme.example", "role": "administrator"})
    page = f"{ACME}/users/{person(MIA).id}"
    ada.get(page)
    assert ada.post(page, {"full_name": "Mia Lindt", "role": "member"}).status_code == 303, ada.text
    boss = world.signed_in(BOSS, ACME)
    for address in (ACME + "/support-access", inside.page):
        boss.get(address)
        assert "Kai Berg kai@acme.example, administrator made or let in again by support" in boss.text
        assert "Mia Lindt mia@acme.example, member changed by support" in boss.text
    assert boss.get(ACME + "/support-access").status_code == 200
    assert boss.post(f"{ACME}/support-access/accounts/{person('kai@acme.example').id}/vouch").status_code == 303
    boss.get(ACME + "/support-access")
    assert "Kai Berg kai@" not in boss.text
    assert "Mia Lindt mia@" in boss.text
    assert "Invited Kai Berg" in boss.text


@both_kinds
def test_s54_the_history_outlives_account_people_and_instance(world: World, kind: str) -> None:
    """The temporary account goes by itself; requester, subject and instance by raw SQL: every word still stands."""
    acme = people(world)
    other = world.administrator(acme, "other@acme.example")
    acme_id, other_id = acme.id, other.id
    inside = enter(world, kind)
    leave(inside)
    boss = world.signed_in("other@acme.example", ACME)
    names = ["Ada Brandt", "Tried to open the page for the user's password: refused", "Left"]
    request = world.request(inside.request_id)
    names += [request.account_name or "", "liferay"] if kind == TEMPORARY_ADMIN else [request.subject_name or "", BOSS]
    before, rows = history_of(boss, inside), all_rows()
    assert [name for name in names if name not in before] == []
    subject = db.session.get(User, request.subject_id or 0)
    assert (subject is None) == (kind == TEMPORARY_ADMIN)
    for user in (person("ada@operator.example"), *([] if subject is None else [subject])):
        delete_user(user.id)
        assert history_of(boss, inside) == before
    for user_id in db.session.scalars(select(User.id).where(User.instance_id == acme_id)).all():
        delete_user(user_id)
    with transaction() as session:
        session.execute(text("DELETE FROM virtual_instances WHERE id = :id"), {"id": acme_id})
    assert boss.get(inside.page).status_code == 404
    assert person_is_gone(other_id)
    assert all_rows() == rows
    assert {row.actor_name for row in inside.rows()} == {"Ada Brandt"}
    world.omniadmin("ben@operator.example", "Ben Ito")
    ben = world.signed_in("ben@operator.example")
    assert ben.get(f"{CONSOLE}/access/{inside.public_id}").status_code == 200
    assert "Ada Brandt" in ben.text


def person_is_gone(user_id: int) -> bool:
    db.session.rollback()
    return db.session.get(User, user_id) is None


def test_the_customers_page_costs_at_most_six_statements(world: World) -> None:
    """With somebody inside, somebody who asks, history, marked accounts and much activity, as with none of it."""
    acme = people(world)
    boss = world.signed_in(BOSS, ACME)
    assert cost(world, boss, "/support-access") <= MOST - 1  # nobody is inside, so nothing is read of what they do
    leave(enter(world, IMPERSONATION, subject=MIA))
    inside = enter(world, TEMPORARY_ADMIN)
    inside.ada.get(ACME + "/users/invite")
    inside.ada.post(ACME + "/users/invite", {"full_name": "Kai", "email": "kai@acme.example", "role": "member"})
    bea = world.omniadmin("bea@operator.example", "Bea Moss")
    waiting = {"requester_id": bea.id, "requester_name": "Bea Moss", "requester_email": bea.email, "state": "ready"}
    copy_requests(inside.request_id, 30, kind=TEMPORARY_ADMIN, state="ended", end_reason="logout")
    copy_requests(inside.request_id, 1, kind=TEMPORARY_ADMIN, **waiting)
    many_rows(inside.request_id, 3_000)
    for path in (
        "/support-access",
        "/support-access?page=2",
        "/support-access/live",
        f"/support-access/{inside.public_id}",
    ):
        assert cost(world, boss, path) <= MOST, path
    assert acme.id == person(BOSS).instance_id
    mia = world.signed_in(MIA, ACME)
    assert cost(world, mia, "/support-access") <= MOST - 2


def cost(world: World, browser: Browser, path: str) -> int:
    """How many statements a page sends, with the note that the session was used."""
    world.clock.advance(seconds=60)
    with statements() as seen:
        assert browser.get(ACME + path).status_code == 200
    return len(seen)


def copy_requests(request_id: int, count: int, **changes: object) -> None:
    """Add requests like one that there is."""
    db.session.rollback()
    table = AccessRequest.__table__
    with db.engine.begin() as connection:
        row = dict(connection.execute(select(table).where(table.c.id == request_id)).mappings().one())
        del row["id"]
        copies = [{**row, "public_id": f"{changes['state']}-{number}", **changes} for number in range(count)]
        connection.execute(table.insert(), copies)  # type: ignore[attr-defined]


def many_rows(request_id: int, count: int) -> None:
    """Add activity like what there is."""
    table = Activity.__table__
    with db.engine.begin() as connection:
        row = dict(connection.execute(select(table).where(table.c.request_id == request_id).limit(1)).mappings().one())
        del row["id"]
        connection.execute(table.insert(), [row] * count)  # type: ignore[attr-defined]
