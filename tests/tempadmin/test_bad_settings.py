"""Nonsense of every type in every setting, from file and environment: words by the setting's name, never a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempadmin.app import create_app
from tempadmin.settings import Settings, SettingsError, load_settings
from tests.world import CONSOLE, KEYS

REQUIRED = {"base_url": f'"{CONSOLE}"', "secret_keys": f'["{KEYS[0]}"]'}
WRITTEN = (
    "5", "-1", "0", "1.5", "nan", "inf", "true", '""', '" "', '"x"', "[]", "{}", "[1]", '[["a"]]', "1979-05-27",
    "99999999999999999999", f'"{"9" * 30}"', f'"{"9" * 5000}"', r'"a\u0000b"', r'"１２３"', r'"a\r\nb"',
    '"P999999999D"', '"http://[::1"', '"https://x.example:99999"', '"https://ex ample"', '"smtp://h:99999"',
    '"smtp://h:x"', '"postgresql+psycopg://h:x/d"', '"postgresql+psycopg://h"', '"sqlite:///"', '"sqlite:///:memory:"',
    '"redis://"', '"redis://h:99999"', '"redis://h/x"', '"redis://h?a=b"', '"redis://:p@h:6379/0"', '"http://h"',
)  # fmt: skip
NAMES = sorted(set(Settings.model_fields) - {"data"})


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv("TEMPADMIN_" + name.upper(), raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_s43_whatever_stands_in_the_file_starts_or_is_named(name: str, tmp_path: Path) -> None:
    """A value of a wrong type, far too large or with a NUL is either taken or refused in one line of its own."""
    wrong = []
    for value in WRITTEN:
        lines = {**REQUIRED, name: value}
        (tmp_path / "tempadmin.toml").write_text("".join(f"{one} = {what}\n" for one, what in lines.items()))
        try:
            create_app(load_settings(tmp_path))
        except SettingsError as error:
            wrong += [(value, one) for one in error.problems if name not in one or "\n" in one]
        except Exception as error:  # noqa: BLE001 - that is what must not happen
            wrong.append((value, repr(error)))
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_s43_bytes_of_no_alphabet_in_the_environment_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not UTF-8 in the environment reaches Python as lone surrogates."""
    monkeypatch.setenv("TEMPADMIN_BASE_URL", CONSOLE)
    monkeypatch.setenv("TEMPADMIN_SECRET_KEYS", KEYS[0])
    monkeypatch.setenv("TEMPADMIN_" + name.upper(), "\udcff" * 40)
    with pytest.raises(SettingsError) as refused:
        create_app(load_settings(tmp_path))
    assert [one for one in refused.value.problems if name not in one] == []


def test_s43_what_does_not_fit_together_is_told_with_everything_else(tmp_path: Path) -> None:
    """Debug, modules and pairs of settings stand in the same list as a typing error."""
    text = 'workers = "x"\nmodules = ["tickets", "nothing"]\ndefault_duration = 90000\nticket_ttl = 0\n'
    (tmp_path / "tempadmin.toml").write_text(text + 'confirm_by_mail = true\nmail_url = "none"\n')
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path, environment={"FLASK_DEBUG": "1"})
    named = [one.partition(":")[0] for one in refused.value.problems]
    assert set(named) == {
        "FLASK_DEBUG", "base_url", "mail_url", "max_duration", "modules", "secret_keys", "ticket_ttl", "workers",
    }  # fmt: skip
    assert named.count("modules") == 3
