"""Where settings come from, and how their values are read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempadmin.settings import Settings, SettingsError, load_settings
from tests.world import CONSOLE, KEYS, settings_for

REQUIRED = f'base_url = "{CONSOLE}"\nsecret_keys = ["{KEYS[0]}"]\n'


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv("TEMPADMIN_" + name.upper(), raising=False)


def in_file(folder: Path, text: str = "") -> Path:
    (folder / "tempadmin.toml").write_text(REQUIRED + text)
    return folder


def test_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value from TEMPADMIN_… wins; what it does not name comes from the file."""
    in_file(tmp_path, "workers = 3\nticket_ttl = 60\n")
    monkeypatch.setenv("TEMPADMIN_WORKERS", "5")
    settings = load_settings(tmp_path)
    assert settings.workers == 5
    assert settings.ticket_ttl == timedelta(seconds=60)


def test_the_command_line_beats_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--data is where the file is read and the database lies, whatever TEMPADMIN_DATA says."""
    monkeypatch.setenv("TEMPADMIN_DATA", str(tmp_path / "elsewhere"))
    settings = load_settings(in_file(tmp_path))
    assert settings.data == tmp_path
    assert settings.database == f"sqlite:///{tmp_path / 'tempadmin.db'}"


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    """Nothing but address and keys is needed."""
    settings = load_settings(in_file(tmp_path))
    assert settings.modules == ("instances", "scheduler", "tickets")
    assert (settings.user_prefix, settings.user_email_domain) == ("liferay_online", "liferayonline.com")
    minutes = {
        "ticket_ttl": 5, "approval_ttl": 1440, "default_duration": 60, "max_duration": 480, "idle_timeout": 30,
        "session_lifetime": 720, "session_idle": 60, "cleanup_min_age": 1440,
    }  # fmt: skip
    assert {name: getattr(settings, name) / timedelta(minutes=1) for name in minutes} == minutes
    assert settings.cleanup_enabled is settings.require_customer is settings.require_omniadmin is False
    assert (settings.scheduler, settings.cleanup_schedule) == ("embedded", "0 3 * * *")
    assert (settings.trusted_proxies, settings.workers, settings.rate_limits) == (0, 2, True)


@pytest.mark.parametrize(
    ("written", "seconds"), [("300", 300), ('"300"', 300), ('"PT5M"', 300), ('"P1D"', 86_400), ("1", 1), ('"PT1S"', 1)]
)
def test_durations_are_seconds_or_iso_8601(written: str, seconds: int, tmp_path: Path) -> None:
    """As a number, as a string of digits, or as a duration in words of the standard."""
    settings = load_settings(in_file(tmp_path, f"ticket_ttl = {written}\n"))
    assert settings.ticket_ttl == timedelta(seconds=seconds)


@given(st.integers(min_value=-5, max_value=10**7))
def test_a_duration_is_a_second_or_more(seconds: int) -> None:
    """Nothing below one second is taken, everything from there on is."""
    try:
        settings = settings_for(Path("data"), ticket_ttl=str(seconds))
    except ValueError:
        assert seconds < 1
    else:
        assert settings.ticket_ttl == timedelta(seconds=seconds)


def test_only_default_and_maximum_are_compared(tmp_path: Path) -> None:
    """A default longer than the maximum is refused; an idle limit longer than everything is not."""
    with pytest.raises(SettingsError, match="default_duration must not be longer than max_duration"):
        load_settings(in_file(tmp_path, "default_duration = 7200\nmax_duration = 3600\n"))
    settings = load_settings(in_file(tmp_path, "default_duration = 3600\nmax_duration = 3600\nidle_timeout = 99999\n"))
    assert settings.idle_timeout > settings.max_duration


def test_confirming_by_mail_needs_mail(tmp_path: Path) -> None:
    """True unless there is no mail; asking for it without mail is refused."""
    assert load_settings(in_file(tmp_path)).confirms_by_mail
    assert not load_settings(in_file(tmp_path, 'mail_url = "none"\n')).confirms_by_mail
    assert not load_settings(in_file(tmp_path, "confirm_by_mail = false\n")).confirms_by_mail
    with pytest.raises(SettingsError, match="confirm_by_mail"):
        load_settings(in_file(tmp_path, 'confirm_by_mail = true\nmail_url = "none"\n'))


def test_a_name_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    """In the file always; in the environment when it looks like a typing error."""
    with pytest.raises(SettingsError, match="ticket_tll: there is no such setting"):
        load_settings(in_file(tmp_path, "ticket_tll = 60\n"))
    in_file(tmp_path)
    with pytest.raises(SettingsError, match="did you mean ticket_ttl"):
        load_settings(tmp_path, environment={"TEMPADMIN_TICKET_TLL": "60"})


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """The error says which file, and where in it."""
    with pytest.raises(SettingsError, match=r"tempadmin\.toml.*line 3"):
        load_settings(in_file(tmp_path, "workers = = 3\n"))


def test_settings_are_frozen_and_keep_keys_to_themselves(tmp_path: Path) -> None:
    """Nothing changes them later, and printing them shows no key."""
    settings = load_settings(in_file(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        settings.workers = 7  # type: ignore[misc]
    assert KEYS[0] not in repr(settings) + str(settings.model_dump())
    assert settings.keys() == KEYS


def test_the_address_is_kept_without_a_slash_and_in_lower_case(tmp_path: Path) -> None:
    """Links are built by putting a path behind it."""
    assert settings_for(tmp_path, base_url="https://Console.Example.com/").base_url == "https://console.example.com"
    assert settings_for(tmp_path, base_url="http://localhost:8000/").base_url == CONSOLE
