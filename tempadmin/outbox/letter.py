"""A mail in words, as plain text and as HTML.

A mail's template in ``mail/`` only says its parts: ``subject``; ``story``, the first line, which tells the whole story;
``facts``, pairs of a label and a value; ``action``, what the one ``link`` is for; ``until``; and ``not_you``. Two
layouts put the same parts on text and on HTML, so that the two never disagree, and escaping has one place (S41).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app

LINES = ("subject", "story", "action", "until", "not_you")
TURNS_TEXT = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Signs that make what follows read from right to left: a name that holds one rewrites the sentence around it."""
UNSEEN = {code: None for code in (*range(0x20), *range(0x7F, 0xA0), *map(ord, TURNS_TEXT)) if not chr(code).isspace()}


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What is sent: one subject, and the same words twice."""

    subject: str
    text: str
    html: str


def write(template: str, words: dict[str, Any]) -> Letter:
    """Put the words into a template's parts, and these into both layouts.

    What pages share is not here: a mail knows no signed-in person and no bar.
    """
    templates = current_app.jinja_env
    said = templates.get_template(f"mail/{template}.txt").make_module(words)
    parts: dict[str, Any] = {name: one_line(getattr(said, name, "")) for name in LINES}
    parts["link"] = words["link"]
    parts["facts"] = [(one_line(label), _lines(value)) for label, value in getattr(said, "facts", ()) if value]
    text, html = (templates.get_template(f"mail/_base.{kind}").render(parts) for kind in ("txt", "html"))
    return Letter(subject=parts["subject"], text=text, html=html)


def one_line(value: str) -> str:
    """Return a part without line ends: nothing that people typed can put a line, or a link, of its own into a mail."""
    return " ".join(value.translate(UNSEEN).split())


def _lines(value: str) -> str:
    """Return a fact's value, which may have lines; the layouts set them off from our own."""
    return "\n".join(one_line(line) for line in value.splitlines()).strip()
