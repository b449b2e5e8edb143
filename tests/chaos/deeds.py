"""What one can do with a browser here: each deed is one request or a few, written down by the browser."""

from __future__ import annotations

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from tests.chaos import plans
from tests.chaos.browser import SESSION, Answer, Browser, Web, is_page, label, leads_to
from tests.chaos.history import UNKNOWN
from tests.chaos.people import Mailbox, People, code_now


@dataclass
class Access:
    """One request, and every secret that was ever got for it."""

    public_id: str
    person: int
    host: str
    console: Browser
    """The window in which the person is signed in."""
    visits: list[Browser] = field(default_factory=list)
    """Windows that hold its session."""
    kept: list[Browser] = field(default_factory=list)
    """The same as they were when they came in: what an end takes away, a thief has still."""
    confirmations: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    returns: list[tuple[Browser, str]] = field(default_factory=list)
    """Windows as they were when they came back with a code, and that address."""

    @property
    def told(self) -> dict[str, Any]:
        """What the history says of each request about it."""
        return {"request": self.public_id}


class Board:
    """The accesses that are open, for those who end other people's."""

    def __init__(self) -> None:
        self._open: dict[str, Access] = {}
        self._lock = threading.Lock()

    def put(self, access: Access) -> None:
        with self._lock:
            self._open[access.public_id] = access

    def take_down(self, access: Access) -> None:
        with self._lock:
            self._open.pop(access.public_id, None)

    def pick(self, part: float) -> Access | None:
        """One of those that are open."""
        with self._lock:
            there = list(self._open.values())
        return there[int(part * len(there))] if there else None


class Desk:
    """A client's windows, and all deeds that begin there."""

    def __init__(self, number: int, *, web: Web, people: People, mailbox: Mailbox, doors: random.Random) -> None:
        self._number, self._web, self._people, self._mailbox, self._doors = number, web, people, mailbox, doors
        self._windows: dict[int, Browser] = {}

    def window(self, person: int) -> Browser:
        """The window in which one of this client's people is signed in at the console."""
        if person not in self._windows:
            jars = {"localhost": self._people.jar(self._number, person)}
            owner, doors = self._people.id_of(self._number, person), random.Random(self._doors.random())
            self._windows[person] = Browser(self._web, f"{self._number}.{person}", owner, doors, jars)
        return self._windows[person]

    def ask(self, person: int, instance: str, reason: str) -> Access | None:
        """Ask for access; whoever turns out to be signed out signs in, for the next time."""
        window, form = self.window(person), self._web.url("localhost", f"/instances/{instance}/request-access")
        shown = window.do("form", "GET", form, when=is_page)
        offers = re.findall(r'<option [^>]*value="(\d+)"', shown.body)
        if not shown.ok or not offers:
            if shown.outcome != UNKNOWN and shown.location:
                self._sign_in(person)
            return None
        answer = window.do(
            "request",
            "POST",
            form,
            {"reason": reason, "duration": offers[0]},
            when=leads_to("/access/"),
            told=lambda answer: {"request": answer.location.rpartition("/")[2]},
            reason=reason,
            instance=instance,
        )
        public_id = answer.location.rpartition("/")[2]
        return Access(public_id, person, f"{instance}.localhost", window) if answer.ok else None

    def look(self, access: Access) -> Answer:
        """Open the request's page."""
        return access.console.do("look", "GET", self._page(access), when=is_page, **access.told)

    def press(self, access: Access, button: str) -> None:
        """Press a button on the request's page."""
        access.console.do(
            button, "POST", f"{self._page(access)}/{button}", {}, when=leads_to("/access/"), **access.told
        )

    def answer(self, access: Access, instance: str, answer: str) -> None:
        """Somebody says yes or no on each side that is asked."""
        for side in plans.INSTANCES[instance]:
            window, path = self._decider(side, access)
            leads = leads_to("/access/" if side == "omniadmin" else "/support-access")
            window.do(answer, "POST", path + answer, {"note": ""}, when=leads, side=side, **access.told)

    def confirm(self, access: Access, how: str) -> bool:
        """Follow the newest confirmation mail, if it has come; tell whether there was one."""
        link = self._mailbox.newest_link(self._people.address(self._number, access.person))
        if link is None or link in access.confirmations:
            return False
        access.confirmations.append(link)
        access.console.do("confirmation", "GET", link, when=is_page, **access.told)
        if how == "not_me":
            not_me = link.replace("/access/confirm", "/access/not-me")
            access.console.do("not_me", "POST", not_me, {}, when=leads_to("/access/"), **access.told)
            return True
        if how == "wrong_first":
            self.send_code(access, link, "000000" if code_now() != "000000" else "111111")
        self.send_code(access, link, code_now())
        return True

    def send_code(self, access: Access, link: str, code: str) -> None:
        """Give a second factor on the confirmation's page."""
        self._show_link(access, "confirm", link, {"code": code})

    def new_link(self, access: Access) -> None:
        """Have the sign-in link replaced."""
        self._show_link(access, "new_link", self._page(access) + "/new-link", {})

    def _show_link(self, access: Access, kind: str, url: str, form: dict[str, str]) -> None:
        answer = access.console.do(kind, "POST", url, form, when=lambda one: bool(_links(one)), **access.told)
        access.links += _links(answer)

    def follow(self, window: Browser, access: Access, link: str, *, twice: bool = False) -> list[Browser]:
        """Open the one-time link and go where it leads; return the windows that are in then.

        Parameters
        ----------
        twice
            Two windows of the same browser come back with the same code, at once.
        """
        facts = {**access.told, "link": label(link)}
        gone = window.do("depart", "GET", link, when=leads_to("/access/enter"), **facts)
        sent = gone.ok and window.do("enter", "GET", gone.location, when=leads_to("/login/return"), **facts)
        if not sent or not sent.ok:
            return []
        access.returns.append((window.twin(window.name + "r"), sent.location))
        windows = [window, window.twin(window.name + "d")] if twice else [window]
        with ThreadPoolExecutor(len(windows)) as pool:
            came_in = pool.map(lambda one: self.come_back(one, access, sent.location), windows)
            return [one for one, is_in in zip(windows, came_in, strict=True) if is_in]

    def come_back(self, window: Browser, access: Access, url: str) -> bool:
        """Come back to the instance with a code; tell whether that opened a session."""

        def told(_answer: Answer) -> dict[str, Any]:
            return {"session": label(window.cookie(access.host))}

        return window.do("redeem", "GET", url, when=leads_to("/"), told=told, **access.told).ok

    def look_inside(self, window: Browser, access: Access) -> Answer:
        """Open a page of the instance."""
        return window.do("page", "GET", self._web.url(access.host, "/users"), when=is_page, **access.told)

    def open_settings(self, window: Browser, access: Access) -> None:
        """Open the form that ``change`` sends."""
        window.do("settings", "GET", self._web.url(access.host, "/settings"), when=is_page, **access.told)

    def change(self, window: Browser, access: Access) -> Answer:
        """Give the instance a name that it never had."""
        name = f"{access.host.partition('.')[0]} {random.SystemRandom().randrange(10**12)}"
        url, form = self._web.url(access.host, "/settings"), {"name": name, "time_zone": ""}
        return window.do("change", "POST", url, form, when=leads_to("/settings"), name=name, **access.told)

    def end(self, access: Access, how: str) -> None:
        """Have somebody end an access; whoever asked for it may be another client's."""
        if how == plans.LEAVE:
            leave = self._web.url(access.host, "/support-session/leave")
            access.visits[0].do("leave", "POST", leave, {}, when=leads_to("/left"), **access.told)
        elif how in (plans.REQUESTER, "cancel"):
            self.press(access, how)
        elif how == plans.SIGN_OUT:
            self._sign_out(access.person)
        else:
            side = "omniadmin" if how == plans.OMNIADMIN else "customer"
            window, path = self._decider(side, access)
            leads = leads_to("/access/" if side == "omniadmin" else "/support-access")
            window.do(how, "POST", path + "end", {}, when=leads, **access.told)

    def _decider(self, side: str, access: Access) -> tuple[Browser, str]:
        """A window of somebody who may decide, with a form's token, and where their buttons lead."""
        host = "localhost" if side == "omniadmin" else access.host
        owner, jar = self._people.decider(host)
        window = Browser(self._web, f"{self._number}.{side}", owner, self._doors, {host: jar})
        window.do("token", "GET", self._web.url(host, "/logout"), when=is_page)
        part = "access" if side == "omniadmin" else "support-access"
        return window, self._web.url(host, f"/{part}/{access.public_id}/")

    def _sign_out(self, person: int) -> None:
        window, url = self.window(person), self._web.url("localhost", "/logout")
        window.do("logout", "GET", url, when=is_page)
        window.do("sign_out", "POST", url, {}, when=leads_to("/login"))

    def _sign_in(self, person: int) -> None:
        window, url = self.window(person), self._web.url("localhost", "/login")
        window.jars["localhost"].clear()
        window.do("login", "GET", url, when=is_page)
        who = {"email": self._people.address(self._number, person), "password": self._people.password}
        if window.do("password", "POST", url, who, when=leads_to("/login/verify")).ok:
            window.do("verify", "GET", url + "/verify", when=is_page)
            code = {"code": code_now()}
            window.do("sign_in", "POST", url + "/verify", code, when=lambda _: SESSION in window.jars["localhost"])

    def _page(self, access: Access) -> str:
        return self._web.url("localhost", f"/access/{access.public_id}")


def _links(answer: Answer) -> list[str]:
    """The one-time link on a page."""
    return re.findall(r'value="(http://[^"]+/login/ticket\?key=[^"]+)"', unescape(answer.body))
