"""`tempadmin instance connect|settings`, and `create` with a connector: files of settings, and what is said of them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from instances import connections
from instances.connection_trial import settings_of
from instances.connectors import registry
from instances.connectors.registry import connector_for
from instances.models import VirtualInstance
from tempadmin.cli import build
from tempadmin.db import db
from tests.instances.cabinet import CABINET, TOKEN, CabinetSettings
from tests.world import KEYS, World

pytestmark = pytest.mark.only_sqlite  # what is printed does not depend on the database

Command = Callable[..., Result]
HERE = "tests.instances.cabinet:Cabinet"
FILE = f"""
url = "https://cabinet.example"
token = "{TOKEN}"
groups = ["admins"]
"""


@pytest.fixture
def command(world: World, birch: VirtualInstance, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command on the world's folder; its process knows the cabinet as one that an extra installs."""
    monkeypatch.setitem(registry.EXTRAS, CABINET, HERE)
    monkeypatch.setenv("TEMPADMIN_BASE_URL", "http://localhost:8000")
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", ",".join(KEYS))

    def run(*arguments: str) -> Result:
        db.session.rollback()
        sent = [*arguments, "--data", str(world.runtime.settings.data)]
        return CliRunner().invoke(build(sent), sent)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cabinet.toml"
    path.write_text(FILE)
    return path


def present(birch: VirtualInstance) -> CabinetSettings:
    db.session.rollback()
    return connections.read(birch.id, CabinetSettings)


def test_an_instance_is_connected_by_a_file(command: Command, file: Path, birch: VirtualInstance) -> None:
    """Each step is printed, then what came of it; a second run may leave the secret out."""
    done = command("instance", "connect", "birch-health", "--connector", CABINET, "--settings", str(file))
    assert (done.exit_code, done.stdout) == (
        0,
        "ok  The drill directory answers.\nbirch-health is connected (cabinet).\n",
    )
    file.write_text(FILE.replace(f'token = "{TOKEN}"', "drawer = 84"))
    again = command("instance", "connect", "birch-health", "--connector", CABINET, "--settings", str(file))
    assert (again.exit_code, present(birch).drawer, present(birch).token.get_secret_value()) == (0, 84, TOKEN)
    assert command("instance", "connect", "birch-health", "--connector", "local").exit_code == 0


def test_each_wrong_setting_is_named_and_nothing_is_saved(command: Command, file: Path, birch: VirtualInstance) -> None:
    """A line for each on standard error, exit code 1; what the file holds of secrets is never repeated (P12)."""
    file.write_text(f'url = "cabinet"\ntoken = "{TOKEN}"\ndrawer = "{TOKEN}"\n')
    done = command("instance", "connect", "birch-health", "--connector", CABINET, "--settings", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: url: is no https address",
        "error: groups: is missing",
        "error: drawer: Input should be a valid integer, unable to parse string as an integer",
        "Nothing was saved.",
    ]
    assert connections.stored(birch.id) is None


def test_what_was_tried_and_what_came_back_is_said(command: Command, file: Path, birch: VirtualInstance) -> None:
    """The setting that is at fault, the answer, and no secret; --without-trying saves it all the same."""
    file.write_text(FILE.replace(TOKEN, "wr0ng token"))
    arguments = ("instance", "connect", "birch-health", "--connector", CABINET, "--settings", str(file))
    done = command(*arguments)
    said = "error: token: GET https://cabinet.example/Me: answered 401, “bad token ***”\nNothing was saved.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", said)
    assert command(*arguments, "--without-trying").exit_code == 0
    assert present(birch).token.get_secret_value() == "wr0ng token"


def test_a_secret_need_not_stand_in_the_file(
    command: Command, file: Path, birch: VirtualInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come from a file of its own, beside this one, or from the environment; so a token is rotated alone."""
    (file.parent / "token").write_text(f"{TOKEN}\n")
    (file.parent / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    file.write_text(FILE.replace(f'"{TOKEN}"', '{ file = "token" }') + 'ca_file = { file = "ca.pem" }\n')
    connect = ("instance", "connect", "birch-health", "--connector", CABINET)
    assert command(*connect, "--settings", str(file)).exit_code == 0
    assert (present(birch).token.get_secret_value(), present(birch).ca_file) == (TOKEN, "-----BEGIN CERTIFICATE-----")
    monkeypatch.setenv("TEMPADMIN_CONNECTION_TOKEN", "from the environment")
    monkeypatch.setenv("TEMPADMIN_CONNECTION_URL", "https://not.a.secret")
    assert command(*connect, "--without-trying").exit_code == 0
    assert present(birch).token.get_secret_value() == "from the environment"
    assert present(birch).url == "https://cabinet.example"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('token = { file = "missing" }\nca_file = { file = "." }', ["error: token: ", "error: ca_file: "]),
        ("url = https", ["error: settings: "]),
        ("url = '\xff'", ["error: settings: "]),
    ],
)
def test_a_file_that_cannot_be_read_is_said(command: Command, file: Path, text: str, said: list[str]) -> None:
    """Broken TOML, no UTF-8, a file that is not there: a line each, no traceback."""
    file.write_bytes(text.encode("latin-1"))
    done = command("instance", "connect", "birch-health", "--connector", CABINET, "--settings", str(file))
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.startswith(begin) for line, begin in zip(lines, said, strict=False)] == [True] * len(said)
    assert lines[-1] == "Nothing was saved."


def test_an_instance_is_created_and_connected_at_once(command: Command, file: Path) -> None:
    """Or, where the directory cannot be used, not created; the default one is connected to nothing."""
    create = ("instance", "create", "--web-id", "elm", "--name", "Elm", "--host", "elm.example.net")
    options = ("--connector", CABINET, "--settings", str(file))
    file.write_text(FILE.replace(TOKEN, "wrong"))
    refused = command(*create, *options)
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (1, "Nothing was created.")
    file.write_text(FILE)
    made = command(*create, *options)
    assert (made.exit_code, made.stdout.splitlines()[0]) == (0, "ok  The drill directory answers.")
    assert db.session.scalars(select(VirtualInstance.connector).filter_by(web_id="elm")).one() == CABINET
    default = ("instance", "create", "--web-id", "x", "--name", "X", "--default", *options)
    assert "connected to nothing" in command(*default).stderr


@pytest.mark.parametrize("connector", [CABINET, *registry.EXTRAS])
def test_the_settings_of_a_connector_are_printed_as_a_file(world: World, command: Command, connector: str) -> None:
    """With what each means and its default; as it stands and with everything taken in, it is TOML."""
    kind = settings_of(connector_for(connector))
    assert kind is not None
    done = command("instance", "settings", connector)
    assert done.exit_code == 0, done.stderr
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert tomllib.loads(done.stdout).keys() == required
    taken_in = "\n".join(line.removeprefix("#") if line[:2] != "# " else line for line in done.stdout.splitlines())
    values = tomllib.loads(taken_in)
    assert values.keys() == kind.model_fields.keys()
    for name, field in kind.model_fields.items():
        assert (field.title or field.description) is not None, name
        assert values[name] == (field.default or values[name]) or not isinstance(field.default, str | int), name


def test_the_template_says_how_a_secret_may_be_given(command: Command) -> None:
    """Also that a connector has none, or that there is no such connector."""
    said = command("instance", "settings", CABINET).stdout
    assert "# What opens it. Secret: also { file" in said
    assert "TEMPADMIN_CONNECTION_TOKEN" in said
    assert "has no settings" in command("instance", "settings", "local").stdout
    assert "there is no connector 'nonsense'" in command("instance", "settings", "nonsense").stderr


def test_a_missing_library_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connector whose extra is not installed names what to install."""
    monkeypatch.setitem(registry.EXTRAS, "ether", "instances.connectors.no_such_library:Ether")
    for arguments in (("settings", "ether"), ("connect", "birch-health", "--connector", "ether")):
        done = command("instance", *arguments)
        assert (done.exit_code, "pip install 'tempadmin[ether]'" in done.stderr) == (1, True)
