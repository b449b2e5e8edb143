"""What somebody typed, made into a connection's settings: secrets that stay are added, what is wrong is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from instances.connections import Stored
from instances.connectors.base import ConnectorError
from instances.connectors.settings import ConnectorSettings, WrongSettings, checked, is_place, secret_names, split
from tempadmin.runtime import Runtime

LONGEST = 65_536
SHOWN = 120
ADDRESSES = ("url", "uri", "host", "server", "port", "address")
WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*:[^/?#\s]*@", re.IGNORECASE)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
ANOTHER_PLACE = "is missing; it was given for another directory, and is not sent to this one unless you give it again"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Settings that were checked."""

    settings: ConnectorSettings
    kept: Mapping[str, datetime] = field(default_factory=dict)
    """Secrets that stay as they are, and since when."""


def take(
    kind: type[ConnectorSettings], values: Mapping[str, object], *, before: Stored | None, runtime: Runtime
) -> Taken:
    """Return settings made of what was typed.

    Parameters
    ----------
    values
        By name; a secret that is absent stays as it is, an empty one is forgotten.
    before
        What is stored for a connector of the same kind.

    Raises
    ------
    WrongSettings
        All that is wrong, at once.
    """
    secrets = set(secret_names(kind))
    given = {name: value for name, value in values.items() if name not in secrets or value not in ("", None)}
    known = _kept(secrets - values.keys(), before, runtime)
    if problems := dict(_unfit(given, secrets)):
        raise WrongSettings({**_problems(kind, known | given), **problems})
    settings = checked(kind, known | given)
    if before is not None and known and _is_sent_elsewhere(settings, before.values):
        settings = _for_another_place(kind, given, known)
        known = {}
    return Taken(
        settings=settings, kept={name: before.set_at[name] for name in known if before and name in before.set_at}
    )


def moved(settings: ConnectorSettings, before: Mapping[str, Any]) -> bool:
    """Tell whether settings speak of another directory than those before."""
    return any(is_place(type(settings), name) for name in _changed(settings, before))


def _is_sent_elsewhere(settings: ConnectorSettings, before: Mapping[str, Any]) -> bool:
    """Tell whether a secret would be sent to another address than before; not every address is a directory's."""
    return moved(settings, before) or any(name.endswith(ADDRESSES) for name in _changed(settings, before))


def _changed(settings: ConnectorSettings, before: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as before; a setting that a newer version brought was at its default until now."""
    for name, value in split(settings)[0].items():
        default = type(settings).model_fields[name].get_default(call_default_factory=True)
        if value != (before[name] if name in before else json.loads(json.dumps(default, default=str))):
            yield name


def in_words(settings: ConnectorSettings | None) -> str | None:
    """Return the plain values in one line, for the record; what is long is cut, and no secret is among them."""
    if settings is None:
        return None
    shown = {name: _short(value) for name, value in split(settings)[0].items() if value not in (None, [], {}, "")}
    return ", ".join(f"{name}: {value}" for name, value in sorted(shown.items()))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def _kept(names: set[str], before: Stored | None, runtime: Runtime) -> dict[str, str]:
    """Return the stored secrets among these; none where no key opens them: then they are to be given again."""
    if before is None:
        return {}
    try:
        stored = before.secrets(runtime)
    except ConnectorError:
        return {}
    return {name: secret for name, secret in stored.items() if name in names}


def _for_another_place(
    kind: type[ConnectorSettings], given: Mapping[str, object], known: Mapping[str, str]
) -> ConnectorSettings:
    """Check again without the secrets that were kept: whoever may change an address must not be sent them."""
    try:
        return checked(kind, given)
    except WrongSettings as error:
        problems = {name: ANOTHER_PLACE if name in known else said for name, said in error.problems.items()}
        raise WrongSettings(problems) from None


def _unfit(given: Mapping[str, object], secrets: set[str]) -> Iterator[tuple[str, str]]:
    """Yield what no setting may hold, whatever its kind: the others are shown and kept in the record."""
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if len(text) > LONGEST:
            yield name, f"is longer than {LONGEST:,} characters"
        elif name not in secrets and PRIVATE_KEY.search(text):
            yield name, "holds a private key, and everybody here can read this setting"
        elif name not in secrets and WITH_PASSWORD.search(text):
            yield name, "has a password in its address; there is a setting of its own for that"


def _problems(kind: type[ConnectorSettings], values: Mapping[str, object]) -> Mapping[str, str]:
    try:
        checked(kind, values)
    except WrongSettings as error:
        return error.problems
    return {}
