"""Rules of the house (design §3) that no linter knows."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests import conftest, guards

ROOT = Path(__file__).parents[1]
TOP = re.compile(
    r"tempadmin|instances|tickets|scheduler|templates|tests|docs|examples|pyproject\.toml|Makefile|constraints.*\.txt"
    r"|(README|CHANGELOG|SECURITY)\.md|LICENSE|PKG-INFO|\..*"
)
MODULES = ("instances", "scheduler", "tickets")
PACKAGES = ("tempadmin", *MODULES)
LONGEST = 250  # lines; past that a file holds two ideas
TEXT = {".css", ".html", ".js", ".py", ".txt"}
VAGUE = {"utils.py", "helpers.py", "common.py", "services.py"}

JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
INLINE = re.compile(
    r"<script\b[^>]*>\s*[^\s<]"  # a script's text between its tags
    r"|<style\b"
    r"|[\s(,]style\s*=\s*[\"'][^\"']*:"  # a declaration, also as an argument for a form's field
    r"|[\s(,]on[a-z]+=[\"'{]"  # an attribute that is a script
    r"|javascript:",
    re.IGNORECASE,
)
NOT_OURS = re.compile(
    r"file:///?\w"
    r"|https?://\S*/simple\b"
    r"|pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org"
    r"|--(?:extra-)?index-url|--find-link[s]"
    r"|(?<![\w.}>])/(?:root|work|home/\w+|Users/\w+)/"
)


def files(*tops: str, suffixes: set[str] = TEXT) -> Iterator[Path]:
    """Text files below these folders; the templates' folder is among them when it is named."""
    for top in tops:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
                yield path


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def committed() -> list[Path]:
    """What git tracks or would track; without git, what a source archive holds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".venv")]
    return [ROOT / name for name in listed.split("\0") if name]


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][^\s;]*==[^\\\n]*?) \\$", (ROOT / name).read_text(), re.MULTILINE))


def test_no_file_is_longer_than_250_lines() -> None:
    """A file with more than 250 lines holds two ideas; migrations are exempt, for they are never edited."""
    too_long = {
        short(path): lines
        for path in files(*PACKAGES, "templates", "tests", "examples")
        if not short(path).startswith("tempadmin/migrations/")
        and (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert too_long == {}


def test_nothing_lies_at_the_top_but_what_belongs_there() -> None:
    """The folders, the project's own texts and pins, and dot folders: a downloaded package once lay beside them."""
    names = {path.relative_to(ROOT).parts[0] for path in committed() if path.exists()}
    assert sorted(name for name in names if not TOP.fullmatch(name)) == []


def test_commit_appears_in_db_alone() -> None:
    """Only `tempadmin.db.transaction` commits, so one use case is one transaction."""
    committing = {
        short(path)
        for path in files(*PACKAGES, suffixes={".py"})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    }
    assert committing == {"tempadmin/db.py"}


def test_no_module_has_a_vague_name() -> None:
    """A module is named for its thing, never `utils`, `helpers`, `common` or `services`."""
    assert [short(path) for path in files(*PACKAGES, "tests", "examples") if path.name in VAGUE] == []


def test_packages_hold_a_docstring_and_init_app_only() -> None:
    """An `__init__.py` says what its folder is for; the three modules' own define `init_app` besides."""
    wrong = []
    for path in files(*PACKAGES, suffixes={".py"}):
        if path.name != "__init__.py":
            continue
        tree = ast.parse(path.read_text())
        rest = tree.body[1:]
        if short(path.parent) in MODULES:
            rest = [node for node in rest if not isinstance(node, ast.Import | ast.ImportFrom)]
            rest = [node for node in rest if getattr(node, "name", "") != "init_app"]
        if not ast.get_docstring(tree) or rest:
            wrong.append(short(path))
    assert wrong == []


def test_s40_templates_hold_no_inline_script_or_style() -> None:
    """The content security policy allows neither, so no page is written as if it did; mails are no pages."""
    inline = []
    for path in files("templates", suffixes={".html"}):
        if short(path).startswith("templates/mail/"):
            continue
        text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        # A macro may well have an argument `style`; a tag may not have such an attribute.
        attributes = re.finditer(r"\sstyle\s*=", JINJA.sub("", text))
        inline += [f"{short(path)}: {found.group().strip()}" for found in (*INLINE.finditer(text), *attributes)]
    assert inline == []


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    """What is committed works anywhere: it names no package registry and no folder of whoever wrote it."""
    found = []
    for path in committed():
        if not path.is_file():
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{short(path)}:{n}: {line[:80]}" for n, line in enumerate(lines, 1) if NOT_OURS.search(line)]
    assert found == []


def test_every_test_says_in_one_line_what_it_proves() -> None:
    """Each test function has a docstring, of one line."""
    silent = [
        f"{short(path)}: {node.name}"
        for path in files("tests", suffixes={".py"})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if len((ast.get_docstring(node) or "").splitlines()) != 1
    ]
    assert silent == []


def test_both_files_of_pins_agree_with_each_other_and_with_the_build() -> None:
    """What the tests run on is what the demo installs, and the build backend is the pinned one."""
    runtime, everything = pins("constraints.txt"), pins("constraints-dev.txt")
    assert runtime, "no pins found"
    assert runtime - everything == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["build-system"]["requires"]) <= runtime
    assert project["dependency-groups"]["build"] == project["build-system"]["requires"]


def test_every_pin_has_its_hashes() -> None:
    """No line of the pins names an address, and each release is followed by the hashes of its files."""
    for name in ("constraints.txt", "constraints-ldap.txt", "constraints-dev.txt"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in lines if "://" in line or " @ " in line or line.startswith("-")]
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if not line.startswith(" "):
                assert following.startswith("    --hash=sha256:"), f"{name}: {line}"


def test_every_file_that_begins_first_is_there() -> None:
    """A long file that was renamed would begin last again."""
    assert [name for name in conftest.LONG_FIRST if not (ROOT / "tests" / name).is_file()] == []


def test_every_guard_on_the_list_stands_where_the_list_says() -> None:
    """`make guards` could take each of them out: its text stands once in its file, and its test exists."""
    rotten = [
        f"{one.name}: its text stands {n} times in {one.file}" for one in guards.read() if (n := one.times(ROOT)) != 1
    ]
    for one in guards.read():
        for path, _, name in (test.partition("::") for test in one.test.split()):
            if not (ROOT / path).is_file() or f"def {name}" not in (ROOT / path).read_text():
                rotten.append(f"{one.name}: there is no {path}::{name}")
    assert rotten == []
    names = [one.name for one in guards.read()]
    assert len(set(names)) == len(names)
