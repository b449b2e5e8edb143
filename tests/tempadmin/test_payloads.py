"""What people type is escaped wherever it is shown (S41)."""

from __future__ import annotations

import csv
import email
import email.policy
import io
import json
from html import escape

import pytest
import structlog

from tempadmin.audit.log import Actor, record
from tempadmin.db import transaction
from tempadmin.outbox.letter import Letter
from tempadmin.outbox.mail import announce
from tests.browser import Browser
from tests.world import CONSOLE, PASSWORD, SEED, World, link_in

ACME = "http://acme.localhost:8000"
PAYLOADS = {
    "html": "<b>bold</b> & 'quoted' \"twice\"",
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x="',
    "link": "javascript:alert(1)//https://evil.example/",
    "header": "Name\r\nBcc: everybody@evil.example\r\n\r\nHello",
    "formula": '=HYPERLINK("https://evil.example","x")',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-2+3",
    "at": "@SUM(1+1)",
    "bidi": "gro.elpmaxe \u202etxt.exe\u202c",
    "template": "{{ 7*7 }} {% if true %} {{ config }} ${7*7} #{7*7}",
    "separators": "one\u2028two\u2029three\u0085four",
    "comment": "--> ]]> <!-- <svg/onload=alert(1)>",
}


@pytest.fixture
def log(world: World) -> io.StringIO:
    """What the service logs, with the processors that it configured."""
    lines = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=lines))
    return lines


def confirmation_link(world: World) -> str:
    """The link on a line of its own; a payload may hold others before it."""
    return next(line for line in world.mails()[-1].splitlines() if line.startswith("http"))


def harmless(browser: Browser, payload: str) -> bool:
    """Whether the present page holds the payload as words alone: its markup stands nowhere in it unescaped."""
    page = browser.page
    active = [
        part for part in ("<b>", "<script>", "<svg", "<!--", ' onmouseover="', 'href="javascript') if part in page
    ]
    return not active and "49" not in browser.text.split() and (escape(payload) == payload or payload not in page)


@pytest.mark.parametrize("name", PAYLOADS)
def test_s41_a_payload_is_only_words_on_every_page(name: str, world: World) -> None:
    """As a person's and an instance's name, as reason and as external ticket, on the pages of the whole way."""
    payload = PAYLOADS[name]
    world.omniadmin(full_name=payload.replace("\r\n", " "))
    acme = world.instance("acme", payload.replace("\r\n", " "))
    world.user(acme, "per@acme.example", full_name=payload.replace("\r\n", " "))
    world.administrator(acme, "admin@acme.example")
    ada = world.signed_in()
    seen = []

    def look(url: str) -> None:
        assert ada.get(url, follow=True).status_code == 200, ada.trail
        seen.append((url, harmless(ada, payload)))

    request = world.ask(ada, "acme", reason=f"{payload} and more of it", external_ticket=payload)
    for page in ("/", "/instances", "/access", f"/access/{request.public_id}", "/audit", "/account", "/logout"):
        look(CONSOLE + page)
    link = confirmation_link(world)
    look(link)
    ada.post(link, {"code": world.next_code()})
    link = ada.link(r"http://acme\.localhost:8000/login/ticket\?key=[\w.-]+")
    seen.append(("the one-time link", harmless(ada, payload)))
    look(link)
    for page in ("/", "/users", "/users/2", "/settings"):
        look(ACME + page)
    ada.get(f"{CONSOLE}/instances?q=" + "%3Cscript%3E")
    seen.append(("search", harmless(ada, payload)))
    assert [place for place, fine in seen if not fine] == []


@pytest.mark.parametrize("name", PAYLOADS)
def test_s41_a_payload_is_only_words_in_mails(name: str, world: World) -> None:
    """No payload adds a header or a part, or comes before our own link."""
    payload = PAYLOADS[name]
    world.omniadmin(full_name=payload.replace("\r\n", " "))
    world.instance("acme", payload.replace("\r\n", " "))
    ada = world.signed_in()
    world.ask(ada, "acme", reason=f"{payload} and more of it", external_ticket=payload)
    folder = world.runtime.settings.data / "mail"
    [path] = folder.glob("*.eml")
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message["To"] == "ada@operator.example"
    assert message["Bcc"] is None
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip
    text, html = (str(part.get_content()) for part in message.iter_parts())
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "Content-Type", "MIME-Version",
    }  # fmt: skip
    assert "49" not in text.split() + html.split()
    assert f"\n{CONSOLE}/access/confirm?key=" in text
    assert html.count("href=") == html.count(f'href="{CONSOLE}/access/confirm?key=') == 1


def test_s41_the_first_link_of_a_mail_is_ours(world: World) -> None:
    """A link in an instance's name is not what people, and programs, take for the confirmation."""
    world.omniadmin()
    world.instance("acme", "https://evil.example/a b")
    world.ask(world.signed_in(), "acme", reason="See https://evil.example/ for it")
    lines = world.mails()[-1].splitlines()
    links = [line for line in lines if line.startswith("http")]
    assert [line.startswith(f"{CONSOLE}/access/confirm?key=") for line in links] == [True]


def test_s41_the_terminal_shows_our_link_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo announces the link that stands on a line of its own, whatever an instance is called."""
    text = f"You asked for access to https://evil.example/x. Confirm:\n\n{CONSOLE}/access/confirm?key=k\n"
    announce(recipient="ada@operator.example", letter=Letter(subject="Confirm", text=text, html=""))
    shown = capsys.readouterr().out
    assert f"{CONSOLE}/access/confirm?key=k" in shown
    assert "evil.example" not in shown


@pytest.mark.parametrize("name", PAYLOADS)
def test_s41_a_payload_cannot_forge_a_line_of_the_log(name: str, world: World, log: io.StringIO) -> None:
    """Each line of the log is one JSON object, whatever stood in addresses, hosts and forms."""
    payload = PAYLOADS[name]
    browser = world.browser()
    browser.client.get(f"/nothing/{payload}", base_url=CONSOLE)
    browser.client.get("/", base_url=CONSOLE, headers={"Host": payload.replace("\r\n", "")})
    browser.get("/login")
    browser.post("/login", {"email": payload, "password": payload})
    lines = log.getvalue().splitlines()
    assert len(lines) >= 4
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert all(line.isascii() for line in lines)


def test_s41_secrets_in_addresses_never_reach_the_log(world: World, log: io.StringIO) -> None:
    """The whole way in leaves no key, code, password or seed in the log (S07)."""
    world.omniadmin()
    world.instance("acme")
    ada = world.signed_in()
    world.ask(ada, "acme")
    mailed = link_in(world.mails()[-1])
    shown = world.confirm(ada)
    ada.get(shown, follow=True)
    logged = log.getvalue()
    assert "/login/return" in logged
    for secret in (mailed.partition("key=")[2], shown.partition("key=")[2], PASSWORD, SEED, "code="):
        assert secret not in logged


@pytest.mark.parametrize("name", PAYLOADS)
def test_s41_no_cell_of_an_export_is_a_formula(name: str, world: World) -> None:
    """In the CSV that is downloaded no cell begins with what a spreadsheet executes, and none breaks out of its row."""
    payload, acme = PAYLOADS[name], world.instance("acme")
    world.omniadmin()
    actor = Actor(id=1, name=payload)
    with transaction():
        for event in (payload[:60], "plain"):
            record(event, instance_id=acme.id, actor=actor, at=world.clock.now(), request_id=7, reason=payload)
    response = world.signed_in().get("/audit/export.csv")
    assert response.status_code == 200
    assert response.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(response.get_data(as_text=True), newline="")))
    assert {len(row) for row in rows} == {9}
    risky = [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert risky == []
    assert any(payload in cell for row in rows for cell in row)
