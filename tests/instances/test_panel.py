"""The control panel as people see it."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.db import db
from tests.browser import Browser
from tests.instances.conftest import MakeTemporary, fresh
from tests.world import World

BIRCH = "http://birch-health.localhost:8000"


@pytest.fixture
def panel(world: World, maria: User) -> Browser:
    """Maria, signed in."""
    return world.signed_in(maria.email, BIRCH)


@pytest.fixture
def support(world: World, maria: User) -> Browser:
    """Ada in a real support session at Birch; Maria is there too."""
    world.omniadmin()
    browser = world.signed_in()
    world.enter(browser, "birch-health")
    return browser


def names(browser: Browser) -> list[str]:
    """The people on the page, in their order."""
    rows = browser.page.split('<th scope="row"><span class="strong">')[1:]
    return [row.split("<")[0] for row in rows]


@pytest.mark.usefixtures("per")
def test_p6_lists_and_searches_never_show_a_temporary_administrator(
    panel: Browser, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """By no name, address or page number; its own page is 404."""
    account = temporary(birch, active=True)
    panel.get("/users")
    assert names(panel) == ["Maria Lund", "Per Holm"]
    for text in ("Ada", "liferay", "liferayonline.com", account.email):
        panel.get(f"/users?q={text}")
        assert names(panel) == []
        assert account.email not in panel.page.replace(f'value="{text}"', "").replace(f"“{text}”", "")
    assert panel.get(f"/users/{account.id}").status_code == 404


def test_search_finds_parts_of_names_and_addresses_in_any_case(
    world: World, panel: Browser, birch: VirtualInstance
) -> None:
    """Wildcards are letters like any other, and what was typed stays in the field."""
    world.user(birch, "100%@birch.example", full_name="Full Score")
    world.user(birch, "under_score@birch.example", full_name="Sofie Dahl")
    for text, found in (
        ("SOFIE", ["Sofie Dahl"]),
        ("dahl", ["Sofie Dahl"]),
        ("Under_", ["Sofie Dahl"]),
        ("_", ["Sofie Dahl"]),
        ("%25", ["Full Score"]),
        ("score", ["Full Score", "Sofie Dahl"]),
        ("\\", []),
        ("'; drop table users", []),
    ):
        panel.get(f"/users?q={text}")
        assert names(panel) == found, text


def test_long_lists_page(world: World, panel: Browser, birch: VirtualInstance) -> None:
    """25 a page; the links keep the search."""
    for number in range(30):
        world.user(birch, f"p{number:02}@birch.example", full_name=f"Person {number:02}")
    panel.get("/users?q=person")
    assert (len(names(panel)), "1 – 25" in panel.text) == (25, True)
    panel.get(panel.link(r"/users\?q=person&after=[^\"]*"))
    assert (names(panel), " – " in panel.text) == ([f"Person {number}" for number in range(25, 30)], False)
    for nonsense in ("0", "-1", "x", "9" * 30, "٢"):
        assert panel.get(f"/users?page={nonsense}").status_code == 200


def test_an_invitation_walks_from_form_to_list(panel: Browser, maria: User) -> None:
    """The form keeps what was typed when it cannot be taken, and leads to the list when it can."""
    panel.get("/users/invite")
    panel.post("/users/invite", {"full_name": "Anna Berg", "email": maria.email, "role": "member"})
    assert "has an account here already" in panel.text
    assert 'value="Anna Berg"' in panel.page
    panel.post(
        "/users/invite", {"full_name": "Anna Berg", "email": "anna@birch.example", "role": "member"}, follow=True
    )
    assert panel.url.endswith("/users")
    assert "Anna Berg is invited" in panel.text
    assert names(panel) == ["Anna Berg", "Maria Lund"]


@pytest.mark.parametrize(
    "form",
    [
        {"full_name": "", "email": "anna@birch.example", "role": "member"},
        {"full_name": "Anna", "email": "anna", "role": "member"},
        {"full_name": "Anna", "email": "anna@liferayonline.com", "role": "member"},
        {"full_name": "Anna", "email": "anna@birch.example", "role": "omniadmin"},
        {"full_name": "Anna", "email": "anna@birch.example", "role": ""},
        {"full_name": "liferay_online_1_1", "email": "anna@birch.example", "role": "member"},
    ],
)
def test_what_cannot_be_taken_stands_beside_its_field(panel: Browser, form: dict[str, str]) -> None:
    """Status 400, the summary on top, nobody invited."""
    panel.get("/users/invite")
    assert panel.post("/users/invite", form).status_code == 400
    assert "did not go through yet" in panel.text
    assert db.session.scalars(select(User).where(User.email == "anna@birch.example")).all() == []


def test_an_administrator_edits_deactivates_and_activates(panel: Browser, per: User) -> None:
    """Name and role by one form, signing in by a button of its own."""
    page = f"/users/{per.id}"
    panel.get(page)
    assert "Deactivate this user" in panel.text
    panel.post(page, {"full_name": "Per Lund", "role": "administrator"}, follow=True)
    assert (fresh(per).full_name, fresh(per).role) == ("Per Lund", "administrator")
    panel.get(page)
    panel.post(page + "/deactivate", follow=True)
    assert "their sessions ended" in panel.text
    panel.get(page)
    assert "Activate this user" in panel.text
    panel.post(page + "/activate", follow=True)
    assert fresh(per).active


def test_ones_own_page_offers_no_deactivation(panel: Browser, maria: User) -> None:
    """It says why, and a forged button is a conflict."""
    panel.get(f"/users/{maria.id}")
    assert "Deactivate this user" not in panel.text
    assert "You cannot deactivate yourself" in panel.text
    assert panel.post(f"/users/{maria.id}/deactivate").status_code == 409


def test_the_last_administrator_is_a_conflict_with_a_sentence(panel: Browser, maria: User) -> None:
    """The page says whom to make administrator first; nothing changes."""
    panel.get(f"/users/{maria.id}")
    response = panel.post(f"/users/{maria.id}", {"full_name": "Maria Lund", "role": "member"})
    assert response.status_code == 409
    assert "last active administrator" in panel.text
    assert fresh(maria).role == "administrator"


def test_s25_a_support_session_is_shown_no_role_field_and_a_forged_one_changes_nothing(
    support: Browser, maria: User
) -> None:
    """The page says what it cannot change; form fields that it does not have are not looked at."""
    page = f"{BIRCH}/users/{maria.id}"
    support.get(page)
    assert "cannot be changed in a support session" in support.text
    assert 'name="role"' not in support.page
    forged = {
        "full_name": "Maria L.",
        "role": "member",
        "email": "evil@evil.example",
        "password": "x" * 20,
        "password_hash": "x",
        "kind": "temporary",
        "active": "0",
        "instance_id": "1",
    }
    before = (maria.role, maria.email, maria.password_hash, maria.kind, maria.active, maria.instance_id)
    support.post(page, forged, follow=True)
    after = fresh(maria)
    assert after.full_name == "Maria L."
    assert (after.role, after.email, after.password_hash, after.kind, after.active, after.instance_id) == before


def test_s25_who_support_invites_is_marked_in_the_list(support: Browser) -> None:
    """The list says *invited in this session*."""
    support.get(BIRCH + "/users/invite")
    form = {"full_name": "Anna Berg", "email": "anna@birch.example", "role": "member"}
    support.post(BIRCH + "/users/invite", form, follow=True)
    assert "invited in this session" in support.text
    db.session.rollback()
    assert db.session.scalars(select(User).where(User.email == "anna@birch.example")).one().made_in_request_id


def test_settings_save_and_refuse(panel: Browser, birch: VirtualInstance) -> None:
    """Name and zone; what the provider set is shown and cannot be sent."""
    panel.get("/settings")
    assert "birch-health" in panel.text
    form = {"name": "Birch Clinics", "time_zone": "Europe/Oslo", "require_customer": "y", "web_id": "x"}
    panel.post("/settings", form, follow=True)
    db.session.rollback()
    assert (birch.name, birch.time_zone, birch.web_id, birch.require_customer) == (
        "Birch Clinics",
        "Europe/Oslo",
        "birch-health",
        False,
    )
    assert panel.post("/settings", {"name": "", "time_zone": "Mars/Base"}).status_code == 400


def test_an_instances_zone_is_for_people_who_chose_none(panel: Browser, birch: VirtualInstance, maria: User) -> None:
    """Its pages speak in that zone until somebody chooses their own."""
    panel.get("/settings")
    panel.post("/settings", {"name": birch.name, "time_zone": "Asia/Tokyo"}, follow=True)
    panel.get("/account")
    assert 'data-zone="Asia/Tokyo"' in panel.page
    assert " UTC+09:00" in panel.page
    panel.post("/account", {"time_zone": "America/New_York"}, follow=True)
    panel.get("/account")
    assert 'data-zone="America/New_York"' in panel.page
    assert " UTC-05:00" in panel.page
