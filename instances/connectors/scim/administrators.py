"""What makes an account an administrator's: membership of a group, or a role, as the instance's settings name it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from scim2_models import Group, PatchOperation, User

from instances.connectors.base import ConnectorError
from instances.connectors.scim.listing import UNKNOWN, Listing
from instances.connectors.scim.protocol import Answer, Refused, Scim, quoted, values_of
from instances.connectors.scim.settings import ScimSettings

GROUP, ROLE = "administrator_group", "administrator_role"


class Administrators(ABC):
    """Those who have the power that a temporary administrator gets."""

    @abstractmethod
    def known(self) -> str:
        """Return what it is, in words; raises ``ConnectorError`` when the server has nothing of that name."""

    @abstractmethod
    def take_in(self, user_id: str) -> None:
        """Give a user the power, and look whether it has it; repeatable."""

    @abstractmethod
    def leave_out(self, user_id: str) -> None:
        """Take the power from a user who is about to go."""


def administrators(settings: ScimSettings, scim: Scim, listing: Listing) -> Administrators:
    """Return what an instance's settings name."""
    if settings.administrator_group is not None:
        return _Members(settings.administrator_group, scim, listing)
    return _Bearers(settings.administrator_role or "", scim)


class _Members(Administrators):
    def __init__(self, name: str, scim: Scim, listing: Listing) -> None:
        self._name, self._scim, self._listing = name, scim, listing
        self._id: str | None = None

    def known(self) -> str:
        return f"the group {self._name!r} is there (id {self._group_id()})"

    def take_in(self, user_id: str) -> None:
        group_id = self._group_id()
        if self._membership(group_id, user_id) is not None:
            return
        member = PatchOperation[Group](op=PatchOperation.Op.add, path="members", value=[{"value": user_id}])
        self._scim.change(Group, group_id, member)
        if self._membership(group_id, user_id) is None:
            raise ConnectorError(
                f"the server said that the account is a member of {self._name!r} now, and it is not", setting=GROUP
            )

    def leave_out(self, user_id: str) -> None:
        """End the membership: servers keep deleted users in their groups."""
        group_id = self._group_id()
        member = self._membership(group_id, user_id)
        if member is not None:
            path = f"members[value eq {quoted(member)}]"
            self._scim.change(Group, group_id, PatchOperation[Group](op=PatchOperation.Op.remove, path=path))

    def _group_id(self) -> str:
        """Return the group's id, by its exact display name or by itself."""
        if self._id is None:
            groups = self._listing.search(Group, f"displayName eq {quoted(self._name)}") or []
            named = self._of_that_name(groups)
            if not named and self._is_id():
                named = [self._name]
            named = named or self._of_that_name(self._listing.everything(Group))  # a search may know no display names
            if len(named) > 1:
                why = f"the server has {len(named)} groups {self._name!r}; give the id of the right one"
                raise ConnectorError(why, permanent=True, setting=GROUP)
            if not named:
                raise ConnectorError(f"the server has no group {self._name!r}", permanent=True, setting=GROUP)
            self._id = named[0]
        return self._id

    def _is_id(self) -> bool:
        try:
            return self._scim.read(Group, self._name) is not None
        except Refused as refused:  # ids there look otherwise
            if refused.status in UNKNOWN:
                return False
            raise

    def _of_that_name(self, groups: list[Answer]) -> list[str]:
        return [str(group["id"]) for group in groups if group["displayName"] == self._name]

    def _membership(self, group_id: str, user_id: str) -> str | None:
        """Return under which value the group has the user as its member: some servers put the name there."""
        members = values_of(self._scim.read(Group, group_id) or {}, "members")
        if user_id in members:
            return user_id
        user = self._scim.read(User, user_id) or {}
        if user.get("userName") in members:
            return str(user["userName"])
        return user_id if group_id in values_of(user, "groups") else None


class _Bearers(Administrators):
    def __init__(self, role: str, scim: Scim) -> None:
        self._role, self._scim = role, scim

    def known(self) -> str:
        return f"an account gets the role {self._role!r}"

    def take_in(self, user_id: str) -> None:
        if self._has(user_id):
            return
        role = PatchOperation[User[Any]](op=PatchOperation.Op.add, path="roles", value=[{"value": self._role}])
        self._scim.change(User, user_id, role)
        if not self._has(user_id):
            raise ConnectorError(f"the server did not keep the role {self._role!r}", permanent=True, setting=ROLE)

    def leave_out(self, user_id: str) -> None:
        """Leave it: a role goes with the user who has it."""

    def _has(self, user_id: str) -> bool:
        user: Answer = self._scim.read(User, user_id) or {}
        return self._role in values_of(user, "roles")
