"""What a request did, in words that a customer reads (``../shared/pages``, picture 5).

A view that knows better than its address (whom it invited, what it changed) says so with ``tempadmin.web.deeds``.
"""

from __future__ import annotations

from tempadmin.web.deeds import deed

LOOKED: dict[str, str] = {
    "home": "Looked at the start page",
    "panel.list_users": "Looked at users",
    "panel.invite": "Opened the form to invite somebody",
    "panel.edit_user": "Looked at a user",
    "panel.settings": "Looked at settings",
    "portal.left": "Saw that the access is over",
    "support.overview": "Looked at support access",
    "support.show": "Looked at the record of an access",
    "support.export": "Exported the history of support access",
}
CHANGED: dict[str, str] = {
    "panel.invite": "invite somebody",
    "panel.edit_user": "change a user",
    "panel.deactivate": "deactivate a user",
    "panel.activate": "activate a user",
    "panel.settings": "change the settings",
    "portal.leave": "leave",
    "support.set_policy": "change the support policy",
    "support.say_yes": "approve a request",
    "support.say_no": "reject a request",
    "support.end": "end an access",
    "support.vouch_for": "vouch for an account",
    "support.say_yes_to_more_time": "approve more time",
    "support.say_no_to_more_time": "reject more time",
}
REFUSED, ERROR = 400, 500


def words_for(endpoint: str | None, method: str, status: int) -> str:
    """Return what was done or tried, and that it was refused where it was."""
    if status < REFUSED and (told := deed()) is not None:
        return told
    if endpoint is None:
        return "Opened an address that does not exist"
    if method in ("GET", "HEAD", "OPTIONS"):
        looked = LOOKED.get(endpoint, "Opened a page")
        return looked if status < REFUSED else f"{_tried(looked)}: {_why(status)}"
    change = CHANGED.get(endpoint, "change something")
    return f"Did: {change}" if status < REFUSED else f"Tried to {change}: {_why(status)}"


def _tried(looked: str) -> str:
    return "Tried to open a page" if looked == "Opened a page" else f"{looked} (tried)"


def _why(status: int) -> str:
    if status == 404:
        return "not found"
    return "refused" if status < ERROR else "it failed"
