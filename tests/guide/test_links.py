"""The guides lead somewhere: every link of theirs to a file or a heading finds it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_house import ROOT, committed, short

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(CODE.sub("", page.read_text())))
    return {heading.strip().replace(" ", "-") for heading in kept}


def test_every_link_in_the_guides_leads_somewhere() -> None:
    """Files that are linked are there, and so are the headings in them."""
    lost = []
    for page in (path for path in committed() if path.suffix == ".md" and path.is_file()):
        for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or not target.is_relative_to(ROOT):
                lost.append(f"{short(page)}: {link}")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                lost.append(f"{short(page)}: {link} (no such heading)")
    assert lost == []
