"""What a browser calls itself, in words that a person recognises. Pure; a guess, and never more than that."""

from __future__ import annotations

from typing import Final

# The first that is found counts: most browsers name the others too.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device_words(user_agent: str | None) -> str:
    """Return for example ``Firefox on Linux``; ``an unknown device`` when nothing is recognised."""
    text = user_agent or ""
    browser = next((name for sign, name in BROWSERS if sign in text), None)
    system = next((name for sign, name in SYSTEMS if sign in text), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "an unknown device"
