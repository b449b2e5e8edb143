"""S01, P12: what opens anything is stored as a keyed digest or sealed, and never reaches a log."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from urllib.parse import unquote

import pytest

from instances.models import VirtualInstance
from tempadmin.accounts import invitations, omniadmins
from tempadmin.accounts.totp import code_at
from tempadmin.web.security import SESSION_COOKIE
from tests.conftest import Build
from tests.tickets.evidence import ACME, ACME_HOST, code_in, database, dump, hand_off_cookie, key_in, to_return
from tests.tickets.mailbox import Mailbox
from tests.world import CONSOLE, PASSWORD, SEED, World, link_in
from tickets import tokens
from tickets.hand_off import open_cookie
from tickets.models import CONFIRM, LOGIN


def collect_secrets(world: World, acme: VirtualInstance) -> dict[str, str]:
    """Walk every way on which a secret is made; return each, with what it holds inside, by name."""
    found: dict[str, str] = {"password": PASSWORD, "seed": SEED}
    serializer = world.runtime.keys.serializer

    key = omniadmins.create_omniadmin(
        instance_id=world.default_instance().id, email="eve@operator.example", full_name="Eve", runtime=world.runtime
    )
    found["enrolment key"], found["enrolment secret"] = key, str(serializer(invitations.SALT).loads(key))
    eve = world.browser()
    url = f"{CONSOLE}/welcome?key={key}"
    eve.get(url)
    seed = re.search(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}", eve.text)
    assert seed is not None
    found["enrolled seed"] = seed[0].replace(" ", "")
    sealed = re.search(r'name="sealed"[^>]*value="([^"]+)"', eve.page)
    assert sealed is not None
    chosen = {"password": PASSWORD, "password_again": PASSWORD, "sealed": sealed[1]}
    eve.post(url, {**chosen, "code": code_at(found["enrolled seed"], world.clock.now())})
    recovery = re.findall(r"[a-z2-9]{7}(?:-[a-z2-9]{7}){3}", eve.text)
    assert len(recovery) == 10
    found |= {f"recovery code {number}": code for number, code in enumerate(recovery)}
    found |= {f"plain recovery code {number}": code.replace("-", "") for number, code in enumerate(recovery)}

    ada = world.signed_in()
    world.ask(ada, "acme")
    confirmation = key_in(world.confirmation_link())
    found["confirm key"] = confirmation
    found["confirm secret"] = str(serializer(f"ticket.{CONFIRM}").loads(confirmation))
    link = world.confirm(ada)
    found["login key"], found["login secret"] = key_in(link), str(serializer(f"ticket.{LOGIN}").loads(key_in(link)))
    back = to_return(ada, link)
    found["code"] = code_in(back)
    found["hand-off cookie"] = hand_off_cookie(ada)
    kept = open_cookie(found["hand-off cookie"], instance_id=acme.id, runtime=world.runtime)
    assert kept is not None
    found["verifier"] = kept.verifier
    ada.get(back, follow=True)
    found["console cookie"] = ada.cookie(SESSION_COOKIE, "localhost") or ""
    found["support cookie"] = ada.cookie(SESSION_COOKIE, ACME_HOST) or ""

    ada.get(f"{ACME}/users/invite")
    invited = {"full_name": "Kim Lund", "email": "kim@acme.example", "role": "member"}
    assert ada.post(f"{ACME}/users/invite", invited, follow=True).status_code == 200
    invitation = key_in(link_in(world.mails()[-1]))
    found["invitation key"], found["invitation secret"] = invitation, str(serializer("invitation").loads(invitation))
    ada.post(f"{ACME}/support-session/leave", follow=True)
    assert all(len(secret) > 10 for secret in found.values()), found
    return found


def test_s01_no_secret_of_the_whole_flow_is_in_the_database(world: World, acme: VirtualInstance) -> None:
    """No row of any table holds a secret or what a key wraps."""
    secrets = collect_secrets(world, acme)
    rows = str(dump(world))
    assert "access_requests" in rows
    assert [name for name, secret in secrets.items() if secret in rows] == []


@pytest.mark.only_sqlite
def test_s01_no_secret_of_the_whole_flow_is_in_the_database_file(world: World, acme: VirtualInstance) -> None:
    """Nor does a byte of the file or of its log, where deleted rows stay for a while."""
    secrets = collect_secrets(world, acme)
    with closing(sqlite3.connect(database(world))) as connection:
        rows = "\n".join(connection.iterdump())
        raw = b"".join(path.read_bytes() for path in database(world).parent.glob("tempadmin.db*"))
    assert "access_requests" in rows
    assert [name for name, secret in secrets.items() if secret in rows or secret.encode() in raw] == []


def test_s01_secrets_have_256_bits_and_never_come_twice(world: World, acme: VirtualInstance) -> None:
    """Each secret has 43 signs of base64url, or 28 of 32 signs for recovery codes, and no two are alike."""
    secrets = collect_secrets(world, acme)
    drawn = ("confirm secret", "login secret", "code", "verifier", "console cookie", "invitation secret")
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secrets[name]) for name in drawn)
    assert re.fullmatch(r"support\.[A-Za-z0-9_-]{43}", secrets["support cookie"])
    assert len(set(secrets.values())) == len(secrets)


def test_s07_p12_no_secret_of_the_whole_flow_is_logged(capfd: pytest.CaptureFixture[str], build: Build) -> None:
    """Standard output and error of the whole flow hold many lines, and no secret."""
    world = build()  # here, so that it logs to what is captured now
    world.omniadmin()
    secrets = collect_secrets(world, world.instance("acme"))
    captured = capfd.readouterr()
    logged = unquote(captured.out + captured.err)
    assert '"path": "/login/return"' in logged
    assert [name for name, secret in secrets.items() if secret in logged] == []


def test_p12_a_sent_mail_leaves_no_sealed_secret_behind(world: World, acme: VirtualInstance) -> None:
    """The update that marks a mail as sent erases what made its link work."""
    collect_secrets(world, acme)
    Mailbox(world).new()
    rows = dump(world)["outbox_messages"]
    assert {"confirm_access", "invitation", "access_over"} <= {row["template"] for row in rows}
    kept = [(row["template"], row["last_error"]) for row in rows if row["sent_at"] is None or row["sealed_secret"]]
    assert kept == []


def test_s01_without_the_key_a_digest_cannot_be_made(world: World, acme: VirtualInstance) -> None:
    """A stored digest is keyed: another installation's keys give another digest for the same secret."""
    from tempadmin.keys import Keys

    other = Keys(["o" * 32])
    for purpose in ("session", f"ticket.{LOGIN}", tokens.CODE_PURPOSE, "recovery-code", invitations.SALT):
        assert other.digest(purpose, "a secret") != world.runtime.keys.digest(purpose, "a secret")
