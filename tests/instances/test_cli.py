"""The commands of instances and their people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from instances.models import VirtualInstance
from tempadmin.accounts.models import User
from tempadmin.cli import build
from tempadmin.clock import SystemClock
from tempadmin.db import db
from tests.instances.conftest import MakeTemporary
from tests.world import KEYS, World

Command = Callable[..., Result]


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run a command on the world's folder."""
    folder = world.runtime.settings.data
    monkeypatch.setenv("TEMPADMIN_BASE_URL", "http://localhost:8000")
    monkeypatch.setenv("TEMPADMIN_DATABASE_URL", world.runtime.settings.database)
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", ",".join(KEYS))

    def run(*arguments: str) -> Result:
        db.session.rollback()
        sent = [*arguments, "--data", str(folder)]
        result = CliRunner().invoke(build(sent), sent)
        db.session.rollback()
        return result

    yield run
    db.session.remove()


def test_instances_are_created_listed_and_archived(command: Command) -> None:
    """Each command says what it did; lists have --json."""
    created = command("instance", "create", "--web-id", "elm", "--name", "Elm Bank", "--host", "ELM.example.net")
    assert (created.exit_code, created.stdout) == (0, "Elm Bank answers at http://elm.example.net:8000\n")
    listed = command("instance", "list", "--json")
    assert json.loads(listed.stdout) == [
        {
            "web_id": "elm",
            "name": "Elm Bank",
            "url": "http://elm.example.net:8000",
            "connector": "local",
            "require_customer": False,
            "require_omniadmin": False,
            "max_duration_seconds": None,
        },
    ]
    assert "elm.example.net" in command("instance", "list").stdout
    assert "No instance fits" in command("instance", "list", "--search", "oak").stdout
    assert command("instance", "archive", "elm", "--yes").exit_code == 0
    assert json.loads(command("instance", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("instance", "create", "--web-id", "elm", "--name", "Elm"), 2, "--host"),
        (("instance", "create", "--web-id", "Elm", "--name", "Elm", "--host", "elm.example.net"), 1, "web id"),
        (("instance", "create", "--web-id", "elm", "--name", "Elm", "--host", "localhost"), 1, "console's own"),
        (("instance", "create", "--web-id", "two", "--name", "Two", "--default"), 1, "exactly one"),
        (("instance", "archive", "nobody"), 1, "no instance nobody"),
        (("user", "list", "--instance", "nobody"), 1, "no instance nobody"),
        (("user", "disable", "--instance", "operator", "nobody@operator.example"), 1, "no nobody@operator.example"),
    ],
)
def test_what_does_not_work_says_why_on_standard_error(
    command: Command, arguments: tuple[str, ...], code: int, why: str
) -> None:
    """One line, an exit code, nothing on standard output."""
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr


def test_an_import_lists_all_problems_and_imports_nothing(command: Command, tmp_path: Path) -> None:
    """Unless told to skip the bad lines; the progress goes to standard error."""
    file = tmp_path / "instances.csv"
    file.write_text("\ufeffweb_id,name,host\na,A,a.example\nB,B,b.example\nc,C,10.0.0.1\nd,Ærø,d.example\n", "utf-8")
    refused = command("instance", "import", str(file))
    assert refused.exit_code == 1
    assert [line.split(":")[0] for line in refused.stderr.splitlines() if line.startswith("line")] == [
        "line 3",
        "line 4",
    ]
    assert "Nothing was imported" in refused.stderr
    assert db.session.scalars(select(VirtualInstance.web_id)).all() == ["operator"]
    done = command("instance", "import", str(file), "--skip-bad")
    assert (done.exit_code, done.stdout) == (0, "2 instances imported. 2 lines skipped.\n")
    assert set(db.session.scalars(select(VirtualInstance.name))) == {"Operator", "A", "Ærø"}


def test_people_are_invited_listed_and_disabled(command: Command, world: World, birch: VirtualInstance) -> None:
    """By instance; the invitation goes out by mail."""
    invited = command(
        "user", "invite", "--instance", "birch-health", "--email", "maria@birch.example", "--name", "Maria Lund",
        "--administrator",
    )  # fmt: skip
    assert invited.exit_code == 0, invited.output
    assert "invites you to Birch Health" in world.mails()[-1]
    world.user(birch, "per@birch.example", full_name="Per Holm")
    assert command("user", "disable", "--instance", "birch-health", "PER@birch.example").exit_code == 0
    people = json.loads(command("user", "list", "--instance", "birch-health", "--json").stdout)
    assert [(one["email"], one["role"], one["active"]) for one in people] == [
        ("maria@birch.example", "administrator", True),
        ("per@birch.example", "member", False),
    ]


def test_p6_commands_neither_list_nor_disable_a_temporary_administrator(
    command: Command, birch: VirtualInstance, temporary: MakeTemporary
) -> None:
    """What pages hide is not shown here either."""
    account = temporary(birch, active=True)
    email = account.email
    assert json.loads(command("user", "list", "--instance", "birch-health", "--json").stdout) == []
    refused = command("user", "disable", "--instance", "birch-health", email)
    assert refused.exit_code == 1
    assert db.session.scalar(select(User.active).where(User.email == email))


def test_p7_a_command_invites_nobody_under_a_reserved_name(command: Command, birch: VirtualInstance) -> None:
    """The rule lives in the use case, so it holds here too."""
    arguments = ("user", "invite", "--instance", birch.web_id, "--name", "X", "--email")
    assert "reserved" in command(*arguments, "liferay_online_1_1@birch.example").stderr
    assert "reserved" in command(*arguments, "x@liferayonline.com").stderr


def test_omniadmins_are_not_disabled_by_the_command_for_people(command: Command, world: World) -> None:
    """It names the command that also ends their open accesses (S23)."""
    world.omniadmin()
    refused = command("user", "disable", "--instance", "operator", "ada@operator.example")
    assert refused.exit_code == 1
    assert "tempadmin omniadmin" in refused.stderr


def test_archiving_asks_and_says_what_ends(command: Command, world: World, birch: VirtualInstance) -> None:
    """Without a yes nothing happens; `--yes` is for scripts."""
    # On the machine's clock, which the command reads.
    world.clock.time = SystemClock().now()
    world.signed_in(world.user(birch, "per@birch.example").email, "http://birch-health.localhost:8000")
    asked = command("instance", "archive", "birch-health")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "Birch Health will answer no more at http://birch-health.localhost:8000, for good." in asked.stderr
    assert "Its accounts (1) can sign in no more. Sessions that end now: 1." in asked.stderr
    assert db.session.scalar(select(VirtualInstance.archived_at).where(VirtualInstance.id == birch.id)) is None
    assert command("instance", "archive", "birch-health", "--yes").exit_code == 0
    db.session.rollback()
    assert db.session.scalar(select(VirtualInstance.archived_at).where(VirtualInstance.id == birch.id)) is not None


def test_where_no_mail_goes_the_link_is_printed_once(
    command: Command, world: World, birch: VirtualInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens the account; with mail, no link is shown."""
    invite = ("user", "invite", "--instance", "birch-health", "--name", "Maria Lund", "--email")
    assert "http" not in command(*invite, "with@birch.example").stdout
    monkeypatch.setenv("TEMPADMIN_MAIL_URL", "none")
    link = command(*invite, "without@birch.example").stdout.splitlines()[-1]
    browser = world.browser("http://birch-health.localhost:8000")
    assert browser.get(link).status_code == 200
    assert "without@birch.example" in browser.page
