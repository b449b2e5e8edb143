"""Instances from a CSV file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import select

from instances import importing
from instances.models import VirtualInstance
from tempadmin.audit import queries as audit_queries
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.errors import Conflict
from tests.statements import statements
from tests.world import World

HEADER = "web_id,name,host\n"


def read(world: World, text: str) -> tuple[list[importing.Line], list[tuple[int, str]]]:
    return importing.read(io.StringIO(text, newline=""), runtime=world.runtime)


def test_good_lines_are_read_and_written_with_their_audit_events(world: World) -> None:
    """Quotes, commas, blank lines and capitals are no trouble; each instance begins its own chain."""
    text = 'Web_ID, Name ,HOST\nelm,"Elm, Bank",ELM.example.net\n\n oak , Oak “Wood” ,bücher.example\n'
    good, bad = read(world, text)
    assert bad == []
    steps: list[int] = []
    importing.write(good, actor=SERVICE, runtime=world.runtime, progress=steps.append)
    rows = {row.web_id: row for row in db.session.scalars(select(VirtualInstance)) if not row.is_default}
    assert {(row.web_id, row.name, row.virtual_hostname) for row in rows.values()} == {
        ("elm", "Elm, Bank", "elm.example.net"),
        ("oak", "Oak “Wood”", "xn--bcher-kva.example"),
    }
    assert sum(steps) == 2
    for row in rows.values():
        assert [one.event for one in db.session.scalars(audit_queries.events(instance_id=row.id))] == [
            "instance.created"
        ]
        assert not list(audit_queries.verify(instance_id=row.id, runtime=world.runtime))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Elm,Elm Bank,elm.example.net", "web id"),
        ("elm,,elm.example.net", "name"),
        ("elm,Elm\ufffd,elm.example.net", "UTF-8"),
        ("elm,Elm Bank,192.0.2.7", "IP address"),
        ("elm,Elm Bank,elm.example.net:80", "no port"),
        ("elm,Elm Bank,localhost", "console's own"),
        ("elm,Elm Bank", "2 columns instead of 3"),
        ("elm,Elm Bank,elm.example.net,x", "4 columns instead of 3"),
        ('elm,"Elm" Bank,elm.example.net', "no CSV"),
        ("taken,Taken Again,elm.example.net", "web id taken is taken"),
        ("elm,Elm Bank,taken.localhost", "host name taken.localhost is taken"),
        ("first,Twice,elm.example.net", "web id first is taken"),
        ("elm,Twice,FIRST.example.net", "host name first.example.net is taken"),
        ("elm," + "x" * 201 + ",elm.example.net", "1 to 200"),
        ("elm," + "x" * 200_000 + ",elm.example.net", "no CSV"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(world: World, line: str, why: str) -> None:
    """Whatever is wrong with a line, the lines around it are judged on their own."""
    world.instance("taken")
    text = f"{HEADER}first,First,first.example.net\n{line}\nlast,Last,last.example.net\n"
    good, bad = read(world, text)
    assert [one.web_id for one in good] == ["first", "last"]
    ((number, reason),) = bad
    assert number == 3
    assert why in reason


def test_all_problems_are_listed_at_once(world: World) -> None:
    """A person corrects a file once; a record over two lines counts by its first."""
    text = HEADER + 'A,x,a.example\nb,"two\nlines",b.example\nc,x,1.2.3.4\nd,x\n'
    good, bad = read(world, text)
    assert [(one.web_id, one.name) for one in good] == [("b", "two lines")]
    assert [number for number, _ in bad] == [2, 5, 6]


@pytest.mark.parametrize("text", ["", "\n", "name,web_id,host\n", "web_id;name;host\n", "web_id,name\n", '"web_id\n'])
def test_a_file_without_the_right_first_line_is_refused(world: World, text: str) -> None:
    """The columns are named, so that no column is mistaken for another."""
    assert read(world, text) == ([], [(1, "the first line must be: web_id,name,host")])


def test_an_open_quote_does_not_swallow_the_rest_in_silence(world: World) -> None:
    """The record that never ends is a problem with the number of its first line."""
    good, bad = read(world, HEADER + 'a,A,a.example\nb,"B,b.example\nc,C,c.example\n')
    assert [one.web_id for one in good] == ["a"]
    assert [number for number, _ in bad] == [3]


def test_a_name_that_was_taken_meanwhile_stops_the_import_with_a_count(world: World) -> None:
    """Steps that were done stay and are counted, the step with the taken name leaves nothing."""
    number = importing.STEP + 2
    good, _ = read(world, HEADER + "".join(f"i{at},I,i{at}.example\n" for at in range(number)))
    world.instance(f"i{number - 1}")
    done: list[int] = []
    with pytest.raises(Conflict, match=f"{importing.STEP} lines are imported; try again with --skip-bad"):
        importing.write(good, actor=SERVICE, runtime=world.runtime, progress=done.append)
    db.session.rollback()
    assert done == [importing.STEP]
    assert len(db.session.scalars(select(VirtualInstance.id)).all()) == importing.STEP + 2


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_of_every_kind_of_editor_are_read(ends: str, mark: str, world: World, tmp_path: Path) -> None:
    """With and without a byte order mark, with the line ends of three families."""
    file = tmp_path / "instances.csv"
    file.write_bytes((mark + HEADER + "elm,Ælm,elm.example.net\n").replace("\n", ends).encode())
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        good, bad = importing.read(lines, runtime=world.runtime)
    assert ([(one.web_id, one.name) for one in good], bad) == ([("elm", "Ælm")], [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_file_in_another_encoding_is_said_to_be(encoding: str, world: World, tmp_path: Path) -> None:
    """What a spreadsheet calls Unicode is not taken for bad columns."""
    file = tmp_path / "instances.csv"
    file.write_bytes((HEADER + "elm,Elm,elm.example.net\n").encode(encoding))
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        good, bad = importing.read(lines, runtime=world.runtime)
    assert good == []
    assert "not UTF-8" in bad[0][1]


def test_a_thousand_chains_begin_in_a_few_statements(world: World) -> None:
    """A step of the import locks and begins all its chains at once, so 100,000 lines take half a minute."""
    good, _ = read(world, HEADER + "".join(f"i{at},I,i{at}.example\n" for at in range(200)))
    with statements() as asked:
        importing.write(good, actor=SERVICE, runtime=world.runtime, progress=lambda _done: None)
    assert len(asked) < 20
