"""Lists of a SCIM server, read to their end or not at all.

Servers ignore filters and answer with everybody, cap a page below what was asked, ignore where it shall begin, fail on
parameters that RFC 7644 knows. What comes out of here is complete; whoever asks compares each entry itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scim2_models import Group, Resource, User

from instances.connectors.base import ConnectorError
from instances.connectors.scim.protocol import Answer, Refused, Scim, quoted

A_PAGE = 100
MOST_PAGES, MOST_ENTRIES, LONGEST = 1000, 100_000, 1000
MOST_SAID = 10**9
READINGS = 3
"""How often a list is begun anew whose length changed while it was read: somebody may have slipped through."""
NAME_OF_GROUP = "displayName"
"""All that is asked of listed groups: some have everybody as their members, which is more than anybody reads."""
UNKNOWN = frozenset({400, 405, 500, 501})
"""How servers answer a parameter that they do not know."""


class Listing:
    """The lists of one server.

    Parameters
    ----------
    attributes
        Which attributes of users are of use; servers may answer with more.
    """

    def __init__(self, scim: Scim, *, attributes: tuple[str, ...]) -> None:
        self._scim, self._kept = scim, (*attributes, NAME_OF_GROUP)
        self._attributes = {User: ",".join(attributes), Group: NAME_OF_GROUP}
        self._plain = False
        self._believed: bool | None = None

    def named(self, name: str) -> list[Answer]:
        """Return who has a user name, and maybe others; everybody where no search can be believed."""
        found = self.search(User, f"userName eq {quoted(name)}")
        if found is None:
            return self.everything(User)
        if _has(found, name):
            self._believed = True
        return found if found or self._finds_somebody() else self.everything(User)

    def search(self, kind: type[Resource[Any]], filter_: str) -> list[Answer] | None:
        """Return what a server answers to a filter, be it everybody; ``None`` when it knows no such filter."""
        try:
            return self._whole(kind, {"filter": filter_})
        except Refused as refused:
            if refused.status in UNKNOWN:
                return None
            raise

    def everything(self, kind: type[Resource[Any]]) -> list[Answer]:
        """Return every entry of a kind."""
        return self._whole(kind, {})

    def _finds_somebody(self) -> bool:
        """Tell whether a search finds somebody who is there: django-scim2 finds nobody by what it cannot search by.

        Believed blindly, such a server would have us call each account gone.
        """
        if self._believed is None:
            page = self._page(User, {}, size=1)
            names = [one["userName"] for one in self._entries(User, page).values() if one["userName"]]
            if names:
                self._believed = _has(self.search(User, f"userName eq {quoted(names[0])}") or [], names[0])
            else:
                self._believed = not page.get("totalResults")
        return self._believed

    def _whole(self, kind: type[Resource[Any]], query: dict[str, object]) -> list[Answer]:
        for _reading in range(READINGS):
            entries = self._read_through(kind, query)
            if entries is not None:
                return entries
        raise ConnectorError(f"the list of {kind.__name__}s changed each time while it was read")

    def _read_through(self, kind: type[Resource[Any]], query: dict[str, object]) -> list[Answer] | None:
        """Return all pages; ``None`` when the number of all entries changed meanwhile."""
        found: dict[str, Answer] = {}
        expected: int | None = None
        for _page in range(MOST_PAGES):
            before = len(found)
            page = self._page(kind, query | ({"startIndex": before + 1} if before else {}))
            total = page.get("totalResults")
            total = min(total, MOST_SAID) if isinstance(total, int) and not isinstance(total, bool) else None
            if before and total != expected:
                return None
            expected = total
            found |= self._entries(kind, page)
            if len(found) > MOST_ENTRIES:
                break
            came = len(found) > before
            if len(found) >= expected if expected is not None else not came:
                return list(found.values())
            if not came:
                break
        raise ConnectorError(f"the server gave {len(found)} of {expected} {kind.__name__}s, not all of them")

    def _page(self, kind: type[Resource[Any]], query: dict[str, object], *, size: int = A_PAGE) -> Answer:
        """Return a page; one that asks for nothing special where the server fails on what is asked."""
        if not self._plain:
            try:
                wanted: dict[str, object] = {"count": size, "attributes": self._attributes[kind]}
                return self._scim.page(kind, wanted | query)
            except Refused as refused:
                if refused.status not in UNKNOWN:
                    raise _named(refused) from None
        page = self._scim.page(kind, query)
        self._plain = True
        return page

    def _entries(self, kind: type[Resource[Any]], page: Answer) -> dict[str, Answer]:
        entries = page.get("Resources") or []
        if not isinstance(entries, list):
            raise ConnectorError("the server answered a list that is none", setting="url")
        name = "userName" if kind is User else NAME_OF_GROUP
        for entry in entries:
            if not isinstance(entry, dict) or not entry.get("id") or not isinstance(entry.get(name), str):
                raise ConnectorError(f"the server listed a {kind.__name__} without id or {name}", setting="url")
        return {str(entry["id"]): self._of_use(entry) for entry in entries}

    def _of_use(self, entry: Answer) -> Answer:
        """Return what is looked at of an entry: whoever sends us a library is not remembered with all of it."""
        texts = {name: entry[name][:LONGEST] for name in self._kept if isinstance(entry.get(name), str)}
        return {"id": str(entry["id"])[:LONGEST], **texts}


def _has(users: Iterable[Answer], name: str) -> bool:
    return any(one["userName"].casefold() == name.casefold() for one in users)


def _named(refused: Refused) -> Refused:
    """Say which setting is wrong where there is no such list at all."""
    if refused.status == 404:
        return Refused(refused, status=404, setting="url")
    return refused
