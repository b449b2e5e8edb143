"""Each mail is text and HTML of the same words, and what people typed is only words in both (S41)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from tempadmin.outbox.letter import Letter, write
from tempadmin.outbox.mail import compose
from tempadmin.outbox.queue import composers
from tests.tempadmin.test_payloads import PAYLOADS
from tests.tickets.mailbox import Mailbox, parsed, words_of, words_of_html
from tests.world import SEED, World

LINK = "https://console.example.com/access/confirm?key=k"
TEMPLATES = (
    "access_approved", "access_asked", "access_inside", "access_lapsed", "access_more_time", "access_over",
    "access_rejected", "access_stopped", "account_opened", "confirm_access", "entered", "factor_added",
    "factor_changed", "factor_removed", "invitation", "not_me", "not_removed_by_hand",
    "password_changed", "recovery_code_used", "recovery_codes_replaced", "removal_stuck",
)  # fmt: skip
SPOKEN = (
    "access", "account", "added", "added_reason", "approvers", "asked_at", "at", "by", "changed",
    "deadline", "duration", "ended", "entered_at", "external_ticket", "host", "how", "instance", "inviter", "lasted",
    "lifetime", "made", "name", "not_seen", "origin", "reason", "requester", "requester_email", "requests", "rescuer",
    "role", "said", "started", "subject_name", "way_in", "who",
)  # fmt: skip
SWITCHES = ("at_home", "granted", "impersonation", "mine", "was_approved")


def letter(template: str, said: str, *, on: bool) -> Letter:
    """A mail in which everything that can be said is this."""
    words: dict[str, Any] = dict.fromkeys(SPOKEN, said) | dict.fromkeys(SWITCHES, on)
    more = {"added": said, "reason": said, "asked_at": said} if on else None
    cases = [(said, said)] if on else [(said, said), (said, said)]
    counted = {"codes_left": 9, "count": len(cases)}
    facts = {"more": more, "notes": [(f"{said} wrote", said)], "cases": cases}
    return write(template, {**words, **facts, **counted, "link": LINK})


def test_every_composer_has_a_template_in_this_test(app: Flask) -> None:
    """A new mail is a mail that is tried here."""
    assert sorted(composers(app)) == list(TEMPLATES)


@pytest.mark.only_sqlite
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("template", TEMPLATES)
def test_both_halves_of_a_mail_say_the_same(template: str) -> None:
    """One subject, one story in its first line, one link, and the same words in the same order."""
    for on in (True, False):
        made = letter(template, "Per & Ålesund <per@acme.example>", on=on)
        mail = parsed(compose(sender="a@b.example", recipient="c@d.example", letter=made).as_bytes())
        assert words_of(mail.text) == words_of_html(mail.html)
        assert mail.links == mail.buttons == [LINK]
        assert len(mail.story) > 40
        assert "\n\n\n" not in mail.text
        assert not re.search(r"(?i)<(img|style|script|link|form)|\burl\(|src=", mail.html)


@pytest.mark.only_sqlite
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("name", PAYLOADS)
def test_s41_a_payload_is_only_words_in_every_mail(name: str) -> None:
    """It adds no header, part, tag, address or line of its own; the one link that stands alone is ours."""
    said = f"{PAYLOADS[name]}\r\nhttps://evil.example/\r\nReason: forged"
    for template in TEMPLATES:
        for on in (True, False):
            made = letter(template, said, on=on)
            message = compose(sender="a@b.example", recipient="c@d.example", letter=made)
            mail = parsed(message.as_bytes())
            assert set(mail.message.keys()) == {
                "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "MIME-Version",
            }  # fmt: skip
            assert mail.links == mail.buttons == [LINK], template
            assert not re.search(r"(?m)^Reason: forged", mail.text), template
            ours = letter(template, "plain", on=on).html
            assert re.findall(r"<[^>]*>", mail.html) == re.findall(r"<[^>]*>", ours), template
            assert not set("\u202e\u202c\u2028\u0085\x1b") & set(mail.text + mail.html + mail.subject)
            assert "49" not in mail.text.split()


@pytest.mark.only_sqlite
@pytest.mark.usefixtures("world")
def test_a_long_reason_leaves_the_link_whole() -> None:
    """Only where one line is longer than mail allows is the text encoded at all."""
    for said, encoding in (("word " * 399, "7bit"), ("å" * 1999, "8bit")):
        made = letter("confirm_access", "x", on=False)
        words = dict.fromkeys(SPOKEN, "x") | dict.fromkeys(SWITCHES, False)
        made = write("confirm_access", {**words, "reason": said, "link": LINK})
        message = compose(sender="a@b.example", recipient="c@d.example", letter=made)
        text = next(message.iter_parts())
        assert text["Content-Transfer-Encoding"] == encoding
        assert f"\r\n{LINK}\r\n".encode() in message.as_bytes()
        assert max(map(len, message.as_bytes().split(b"\r\n"))) <= 998
    long = compose(sender="a@b.example", recipient="c@d.example", letter=letter("not_me", "ø" * 600, on=True))
    assert max(map(len, long.as_bytes().split(b"\r\n"))) <= 998
    assert parsed(long.as_bytes()).links == [LINK]


def test_p12_a_secret_is_in_the_mail_that_needs_it_alone(world: World) -> None:
    """Confirmations and invitations hold a key; what announces an access holds none, nor the seed."""
    world.omniadmin()
    world.administrator(world.instance("acme", "Acme Logistics"), "noor@acme.example")
    world.enter(world.signed_in())
    mails = Mailbox(world).new()
    with_key = [mail.subject for mail in mails if "key=" in mail.text + mail.html]
    assert with_key == ["Confirm your administrator access to Acme Logistics"]
    assert "Ada Brandt is now inside Acme Logistics" in {mail.subject for mail in mails}
    assert all(SEED not in mail.text + mail.html for mail in mails)
