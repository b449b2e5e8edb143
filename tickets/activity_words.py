"""What a request did, in words that a customer reads (``../shared/pages``, picture 5).

A view that knows better than its address (whom it invited, what it changed) says so with ``tempadmin.web.deeds``.
"""

from __future__ import annotations

from http import HTTPStatus

from tempadmin.web.deeds import deed
from tempadmin.web.guard import SAFE_METHODS

LOOKS: dict[str, tuple[str, str]] = {
    "home": ("Looked at the start page", "look at the start page"),
    "inside.overview": ("Looked at the page of this access", "look at the page of this access"),
    "panel.list_users": ("Looked at users", "look at users"),
    "panel.invite": ("Opened the form to invite somebody", "open the form to invite somebody"),
    "panel.edit_user": ("Looked at a user", "look at a user"),
    "panel.settings": ("Looked at settings", "look at settings"),
    "support.overview": ("Looked at support access", "look at support access"),
    "support.live": ("Looked at support access", "look at support access"),
    "support.show": ("Looked at the record of an access", "look at the record of an access"),
    "support.export": ("Exported the history of support access", "export the history of support access"),
    "support.export_activity": ("Exported what was done in an access", "export what was done in an access"),
    "account.overview": ("Looked at the user's own account", "look at the user's own account"),
    "account.password": ("Looked at the user's password page", "open the page for the user's password"),
    "account.second_factor": ("Looked at the user's second factor", "open the page for the user's second factor"),
    "account.remove_factor": ("Looked at the user's second factor", "open the page for the user's second factor"),
    "account.recovery_codes": ("Looked at the user's recovery codes", "open the page for the user's recovery codes"),
    "accounts.sign_out_page": ("Opened the page to sign out", "open the page to sign out"),
    "provider.authorize": ("Came from the product to sign in there, and was refused", "sign in to the product"),
    "provider.log_out": ("Opened the page to log out", "log out from the product's side"),
}
"""By endpoint: what was looked at, and what somebody tried to look at."""

CHANGES: dict[str, tuple[str, str]] = {
    "panel.invite": ("Invited somebody", "invite somebody"),
    "panel.invite_again": ("Sent an invitation again", "send an invitation again"),
    "panel.edit_user": ("Changed a user", "change a user"),
    "panel.deactivate": ("Deactivated a user", "deactivate a user"),
    "panel.activate": ("Let a user in again", "let a user in again"),
    "panel.settings": ("Changed the settings", "change the settings"),
    "inside.show_password": ("Had the account's password shown", "have the account's password shown"),
    "inside.try_again": ("Had the account let in again", "have the account let in again"),
    "portal.leave": ("Left", "leave"),
    "support.set_policy": ("Changed the support policy", "change the support policy"),
    "support.say_yes": ("Approved a request", "approve a request"),
    "support.say_no": ("Rejected a request", "reject a request"),
    "support.say_yes_to_more_time": ("Approved more time", "approve more time"),
    "support.say_no_to_more_time": ("Rejected more time", "reject more time"),
    "support.end": ("Ended an access", "end an access"),
    "support.vouch_for": ("Vouched for an account", "vouch for an account"),
    "account.overview": ("Changed the user's time zone", "change the user's time zone"),
    "account.password": ("Changed the user's password", "change the user's password"),
    "account.second_factor": ("Changed the user's second factor", "change the user's second factor"),
    "account.remove_factor": ("Removed the user's second factor", "remove the user's second factor"),
    "account.recovery_codes": ("Made new recovery codes", "make new recovery codes for the user"),
    "account.end_session": ("Ended one of the user's sessions", "end one of the user's sessions"),
    "account.end_other_sessions": ("Ended the user's sessions", "end the user's sessions"),
    "accounts.sign_out_page": ("Signed the user out", "sign the user out"),
}
"""By endpoint: what was changed, and what somebody tried to change."""

A_PAGE, SOMETHING = ("Opened a page", "open a page"), ("Changed something", "change something")


def words_for(endpoint: str | None, method: str, status: int) -> str:
    """Return what was done or tried, and how it was turned down where it was."""
    done = status < HTTPStatus.BAD_REQUEST
    if done and (told := deed()) is not None:
        return told
    if endpoint is None:
        return "Tried to open an address that does not exist"
    look = method in SAFE_METHODS
    past, wish = LOOKS.get(endpoint, A_PAGE) if look else CHANGES.get(endpoint, SOMETHING)
    return past if done else f"Tried to {wish}: {_turned_down(status)}"


def _turned_down(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "it failed"
    return {400: "not accepted", 404: "not found", 409: "too late"}.get(status, "refused")
