"""The clients: each goes through one access after the other as its seed says, until told to stop."""

from __future__ import annotations

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.chaos import plans
from tests.chaos.browser import Browser, Jar, Web
from tests.chaos.deeds import Access, Board, Desk
from tests.chaos.history import REFUSED
from tests.chaos.people import Mailbox, People, code_now
from tests.chaos.plans import Episode

LOOKS = 40
"""How often somebody looks whether their request has moved on."""
LOOK_AGAIN_SECONDS = 0.4
INSIDE_SECONDS = 20
"""Longer than any limit here."""
CHANGES = 5
KEPT = 20


class Client:
    """One client, with a person for each access."""

    def __init__(self, number: int, *, seed: str, web: Web, people: People, mailbox: Mailbox, board: Board) -> None:
        self._name, self._board = f"{seed}.{number}", board
        self._desk = Desk(
            number, web=web, people=people, mailbox=mailbox, doors=random.Random(f"{seed}/doors/{number}")
        )
        self._plans = plans.episodes(seed, number)
        self._stop = threading.Event()
        self._tabs = ThreadPoolExecutor(4)
        self._past: list[Access] = []
        self._visited: dict[str, Jar] = {}
        self.episodes = 0

    def run(self) -> None:
        """Go on until ``stop``."""
        with self._tabs:
            for plan in self._plans:
                if self._stop.is_set():
                    return
                self._go_through(plan)
                self.episodes += 1

    def walk_once(self) -> bool:
        """Ask, confirm, enter, look and leave, undisturbed; tell whether all of it worked."""
        plan = replace(next(self._plans), **plans.STRAIGHT)
        access = self._desk.ask(plan.person, plan.instance, f"Chaos {self._name}.{self.episodes} works again.")
        self.episodes += 1
        if access is None or not self._is_ready(access, plan):
            return False
        self._enter(access, plan)
        return bool(access.visits) and self._desk.look_inside(access.visits[0], access).ok and self._leaves(access)

    def end_for_somebody(self, public_id: str) -> None:
        """End a request of whomever, as another omniadmin would."""
        self._desk.end(Access(public_id, 0, "localhost", self._desk.window(0)), plans.OMNIADMIN)

    def _leaves(self, access: Access) -> bool:
        self._desk.end(access, plans.LEAVE)
        return self._desk.look_inside(access.kept[0], access).outcome == REFUSED

    def stop(self) -> None:
        """Finish what was begun, and begin nothing new."""
        self._stop.set()

    def _go_through(self, plan: Episode) -> None:
        if plan.meddle is not None and (other := self._board.pick(plan.meddle)) is not None:
            self._desk.end(other, plan.meddler)
        reason = f"Chaos {self._name}.{self.episodes} wants to look at the start page."
        access = self._desk.ask(plan.person, plan.instance, reason)
        if access is None:
            self._stop.wait(LOOK_AGAIN_SECONDS)
            return
        self._board.put(access)
        try:
            if self._is_ready(access, plan):
                self._enter(access, plan)
                self._be_inside(access, plan)
        finally:
            self._board.take_down(access)
        self._past = [*self._past[-KEPT:], access]
        for old in (access, self._past[plan.replays % len(self._past)]):
            self._replay(old, plan.replays)

    def _is_ready(self, access: Access, plan: Episode) -> bool:
        """Bring a request to where its link can be followed; tell whether it came there."""
        done: set[str] = set()
        for _ in range(LOOKS):
            page = self._desk.look(access)
            offered = re.findall(rf'action="/access/{re.escape(access.public_id)}/([a-z-]+)"', page.body)
            if "new-link" in offered:
                if not access.links or plan.new_link:
                    self._desk.new_link(access)
                return bool(access.links)
            if (page.ok and not offered) or not self._brings_on(access, plan, offered, done):
                return False
            if self._stop.wait(LOOK_AGAIN_SECONDS):
                return False
        return False

    def _brings_on(self, access: Access, plan: Episode, offered: list[str], done: set[str]) -> bool:
        """Do the next step, each once; tell whether to go on."""
        if "start" in offered:
            self._desk.press(access, "start")
        elif "send-again" in offered and plan.send_again and "again" not in done:
            done.add("again")
            self._desk.press(access, "send-again")
        elif "send-again" in offered and "confirmed" not in done:
            if plan.confirmation in ("cancel", plans.NOBODY):
                if plan.confirmation == "cancel":
                    self._desk.end(access, "cancel")
                return False
            if self._desk.confirm(access, plan.confirmation):
                done.add("confirmed")
                return plan.confirmation != "not_me"
        elif offered and "asked" not in done and plan.answer != plans.NOBODY:
            done.add("asked")
            self._desk.answer(access, plan.instance, plan.answer)
        return True

    def _enter(self, access: Access, plan: Episode) -> None:
        """Follow the one link in several windows at once; a thief's is signed in as somebody else."""
        windows = [access.console.twin(f"{access.console.name}{letter}") for letter in "abc"[: plan.browsers]]
        for window in windows:
            window.jars[access.host] = dict(self._visited.get(access.host, {}))
        if plan.thief:
            windows.append(self._desk.window((plan.person + 1) % plans.PEOPLE).twin(f"{access.console.name}t"))
        for came_in in self._tabs.map(
            lambda one: self._desk.follow(one, access, access.links[-1], twice=plan.twice), windows
        ):
            access.visits += came_in
        access.kept += [window.twin(f"{window.name}k") for window in access.visits]
        for window in access.kept:
            self._visited[access.host] = window.jars[access.host]

    def _be_inside(self, access: Access, plan: Episode) -> None:
        """Look around, change something, and be ended, or left alone until a limit does it."""
        if not access.visits:
            return
        window = access.visits[0]
        for _ in range(plan.pages):
            self._desk.look_inside(window, access)
            self._stop.wait(plan.pause)
        self._desk.open_settings(window, access)
        tabs = [self._tabs.submit(self._go_on, window.twin(f"{window.name}x{n}"), access) for n in range(plan.tabs)]
        if plan.end == plans.NOBODY:
            self._stay(window, access, plan)
        else:
            self._desk.end(access, plan.end)
        for tab in tabs:
            tab.result()

    def _go_on(self, window: Browser, access: Access) -> None:
        """Write and read in another tab, which an end overtakes: all tabs write to one row, so some wait for others."""
        for _ in range(CHANGES):
            if not self._desk.change(window, access).ok or not self._desk.look_inside(window, access).ok:
                return

    def _stay(self, window: Browser, access: Access, plan: Episode) -> None:
        """Work on until a limit, or go away."""
        for _ in range(INSIDE_SECONDS if plan.tabs else 0):
            if self._desk.look_inside(window, access).outcome == REFUSED or self._stop.wait(1):
                return

    def _replay(self, access: Access, tries: int) -> None:
        """Try every old secret again, as whoever kept them would."""
        for window in access.kept[:2]:
            self._desk.look_inside(window, access)
            self._desk.change(window, access)
        for link in access.links[-2:]:
            self._desk.follow(access.console.twin(f"{access.console.name}o"), access, link)
        for window, url in access.returns[:tries]:
            self._desk.come_back(window.twin(window.name), access, url)
        for link in access.confirmations[-1:]:
            self._desk.send_code(access, link, code_now())
