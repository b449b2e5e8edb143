"""What a use case needs besides its arguments, in one frozen value per application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import Flask, current_app

from tempadmin.clock import Clock
from tempadmin.keys import Keys
from tempadmin.settings import Settings

EXTENSION = "tempadmin"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Settings, clock and keys of one application."""

    settings: Settings
    clock: Clock
    keys: Keys

    def now(self) -> datetime:
        """Return the clock's time (UTC); read it after the lock is held (S05)."""
        return self.clock.now()


def application() -> Flask:
    """Return the application at work itself: registries and signals are kept by it, not by its proxy."""
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]


def current_runtime() -> Runtime:
    """Return the runtime of the application at work."""
    return cast(Runtime, current_app.extensions[EXTENSION])
