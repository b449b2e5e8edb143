"""What start-up refuses, every problem at once, in words and with exit code 2 (S43)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from tempadmin.app import create_app
from tempadmin.cli import build as build_command
from tempadmin.settings import SettingsError
from tests.world import CONSOLE, KEYS, settings_for

GOOD = {"TEMPADMIN_BASE_URL": CONSOLE, "TEMPADMIN_SECRET_KEYS": KEYS[0]}
NONSENSE = {
    "BASE_URL": (
        "",
        "console",
        "ftp://x.example",
        "http://x.example",
        "https://x.example/path",
        "https://u:p@x.example",
        "https://x.example:99999",
        "https://bücher.example",
    ),
    "SECRET_KEYS": ("", "short", f"{KEYS[0]},short", ","),
    "DATABASE_URL": (
        "mysql://localhost/x",
        "tempadmin.db",
        "postgresql://localhost/x",
        "sqlite:///",
        "postgresql+psycopg://h",
    ),
    "MODULES": ("nothing_of_ours", "os", "instances,tickets", "instances.models,scheduler", "../x"),
    "USER_PREFIX": ("", "X", "1abc", "with space", "a" * 40),
    "USER_EMAIL_DOMAIN": ("", "nodot", "-x.example", "a@b.example", "x..y"),
    "TICKET_TTL": ("9" * 30, "P9999D", "0", "-5", "soon", "5m", "PT0S"),
    "APPROVAL_TTL": ("0", "never"),
    "DEFAULT_DURATION": ("0", "30000", "x"),
    "MAX_DURATION": ("0", "60", "P"),
    "IDLE_TIMEOUT": ("0", "x"),
    "SESSION_LIFETIME": ("0", "x"),
    "SESSION_IDLE": ("0", "x"),
    "CONFIRM_BY_MAIL": ("perhaps",),
    "REQUIRE_OMNIADMIN": ("perhaps", "2"),
    "REQUIRE_CUSTOMER": ("perhaps",),
    "CLEANUP_ENABLED": ("perhaps",),
    "CLEANUP_SCHEDULE": ("", "daily", "* * * *", "99 * * * *", "0 3 1 * 1", "0 3 * * 8"),
    "CLEANUP_MIN_AGE": ("0", "x"),
    "SCHEDULER": ("none", ""),
    "MAIL_URL": ("smtp://h:99999", "mail.example.com", "http://x.example", "smtp://"),
    "MAIL_FROM": ("nobody", "a b@x.example", "a@b@c"),
    "TRUSTED_PROXIES": ("-1", "many", "99"),
    "WORKERS": ("0", "-1", "1000", "x"),
    "RATE_LIMITS": ("perhaps",),
}
CASES = [(name, value) for name, values in NONSENSE.items() for value in values]


def run(data: Path, changes: dict[str, str | None]) -> Result:
    """Run a command with an environment."""
    environment = {**GOOD, **changes}
    return CliRunner(env=environment).invoke(build_command([]), ["omniadmin", "list", "--data", str(data)])


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NONSENSE:
        monkeypatch.delenv("TEMPADMIN_" + name, raising=False)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_s43_nonsense_in_a_setting_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    """The command ends with exit code 2, a line that names the setting, and no stack trace."""
    result = run(tmp_path, {"TEMPADMIN_" + name: value})
    assert result.exit_code == 2, result.exception
    assert name.lower() in result.stderr
    assert all(line.startswith("error: ") for line in result.stderr.splitlines())
    assert result.stdout == ""


def test_s43_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """One start shows everything that must be mended, a line for each setting."""
    each = {name: values[-1] for name, values in NONSENSE.items() if name not in ("MODULES", "MAX_DURATION")}
    result = run(tmp_path, {"TEMPADMIN_" + name: value for name, value in each.items()})
    assert result.exit_code == 2
    reported = {line.removeprefix("error: ").partition(":")[0] for line in result.stderr.splitlines()}
    assert {name.lower() for name in each} - reported == set()


@pytest.mark.parametrize("name", ["BASE_URL", "SECRET_KEYS"])
def test_s43_what_is_required_is_asked_for(name: str, tmp_path: Path) -> None:
    """A missing address and missing keys are named, with the variable that sets them."""
    result = run(tmp_path, {"TEMPADMIN_" + name: None})
    assert result.exit_code == 2
    assert f"set TEMPADMIN_{name}" in result.stderr


def test_s43_a_key_is_never_repeated_in_an_error(tmp_path: Path) -> None:
    """A key that is too short is still a secret."""
    result = run(tmp_path, {"TEMPADMIN_SECRET_KEYS": "hunter2hunter2", "TEMPADMIN_WORKERS": "x"})
    assert result.exit_code == 2
    assert "hunter2" not in result.output + result.stderr


@pytest.mark.parametrize("value", ["1", "true", "on", "yes", "TRUE"])
def test_s43_debug_is_refused(value: str, tmp_path: Path) -> None:
    """Flask's debugger runs any code for anybody."""
    result = run(tmp_path, {"FLASK_DEBUG": value})
    assert result.exit_code == 2
    assert "debug" in result.stderr


def test_s43_debug_is_refused_by_the_application_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a server of one's own makes it, without any command."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with pytest.raises(SettingsError, match="debug must be off"):
        create_app(settings_for(tmp_path))


def test_s43_a_module_without_init_app_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that cannot be put in is not passed over."""
    monkeypatch.setitem(sys.modules, "hollow", ModuleType("hollow"))
    sys.modules["hollow"].__spec__ = sys.__spec__
    with pytest.raises(SettingsError, match="'hollow' has no init_app"):
        create_app(settings_for(tmp_path, modules=("instances", "hollow")))


def test_s43_tickets_without_scheduler_is_refused(tmp_path: Path) -> None:
    """Without it nobody would remove what was left behind."""
    with pytest.raises(SettingsError, match="'tickets' needs 'scheduler'"):
        create_app(settings_for(tmp_path, modules=("instances", "tickets")))


@pytest.mark.parametrize("modules", ["tickets,scheduler,instances", "scheduler,tickets", "scheduler", ""])
def test_s43_any_other_choice_of_modules_starts_or_is_refused_in_words(modules: str, tmp_path: Path) -> None:
    """Their order does not matter, and one that lacks another says so."""
    result = CliRunner(env={**GOOD, "TEMPADMIN_MODULES": modules}).invoke(
        build_command([]), ["db", "upgrade", "--data", str(tmp_path)]
    )
    assert result.exit_code in (0, 2), repr(result.exception)
    if result.exit_code == 2:
        assert "modules" in result.stderr


@pytest.mark.parametrize("url", ["https://console.example.com", "http://localhost:8000", "http://a.localhost"])
def test_s43_good_addresses_start(url: str, tmp_path: Path) -> None:
    """Https anywhere, http on this machine."""
    assert create_app(settings_for(tmp_path, base_url=url)) is not None


def test_s43_serving_an_old_schema_is_refused(tmp_path: Path) -> None:
    """`serve` on an empty folder says which command prepares the database."""
    result = CliRunner(env=GOOD).invoke(build_command([]), ["serve", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "tempadmin db upgrade" in result.stderr
