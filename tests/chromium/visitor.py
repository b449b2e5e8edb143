"""A person at a browser of their own, which notes every trouble that a page has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize

from tests.chromium.demo import Demo

WIDE, NARROW = ViewportSize(width=1180, height=760), ViewportSize(width=360, height=740)
LOUD = ("error", "warning")
WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("content security policy: " + event.violatedDirective + " " + event.blockedURI));
"""


class Visitor:
    """One browser context with one page, and the steps that people do again and again."""

    def __init__(self, browser: Browser, demo: Demo, *, name: str, artefacts: Path, options: dict[str, Any]) -> None:
        self.demo, self.name, self._artefacts = demo, name, artefacts
        self.troubles: list[str] = []
        self._shots = 0
        self.context = browser.new_context(viewport=WIDE, **options)
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self._watch(self.page)

    def _watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._failed)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in LOUD:
            self.troubles.append(f"{self.page.url}: {message.text}")

    def _failed(self, request: Request) -> None:
        # Whoever goes on before a page is complete aborts the rest of it; what a policy blocks fails otherwise.
        if request.failure != "net::ERR_ABORTED":
            self.troubles.append(f"{request.url}: {request.failure}")

    @contextmanager
    def refused(self, status: int) -> Iterator[None]:
        """What is done within is answered with this status, of which Chromium complains on its console, once."""
        before = len(self.troubles)
        with self.page.expect_response(lambda response: response.status == status):
            yield
        self.page.wait_for_load_state()
        told = [one for one in self.troubles[before:] if f"status of {status}" in one]
        for one in told:
            self.troubles.remove(one)

    def goto(self, url: str, *, status: int = 200) -> None:
        """Type an address; paths are the console's."""
        url = self.demo.console + url if url.startswith("/") else url
        if status < 400:
            answer = self.page.goto(url)
            assert answer is not None
            assert answer.status == status
            return
        with self.refused(status):
            self.page.goto(url)

    def press(self, name: str) -> None:
        """Press the button with this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        """Follow the first link with this name."""
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def fill(self, **fields: str) -> None:
        """Type into fields, each named by its label (spaces as underscores)."""
        for label, value in fields.items():
            self.page.get_by_label(re.compile(f"^{label.replace('_', '.')}$", re.IGNORECASE)).fill(value)

    def sign_in(self, person: dict[str, str], at: str = "") -> None:
        """Sign in from the page of sign-in, with the second factor where the person has one."""
        self.goto(f"{at or self.demo.console}/login")
        self.give_password(person)
        if "totp_secret" in person:
            self.give_code(person, "Verify")

    def give_password(self, person: dict[str, str]) -> None:
        """Fill in the first form."""
        self.fill(**{"E.mail": person["email"]}, Password=person["password"])
        self.press("Sign in")

    def give_code(self, person: dict[str, str], button: str) -> None:
        """Fill in a fresh code."""
        self.fill(Authentication_code=self.demo.device(person["totp_secret"]).fresh_code())
        self.press(button)

    def request_access(self, web_id: str, *, reason: str, ticket: str = "", duration: str = "1 hour") -> None:
        """Ask for access on an instance's form."""
        self.goto(f"/instances/{web_id}/request-access")
        self.fill(Reason=reason, External_ticket=ticket)
        self.page.get_by_label("Duration").select_option(label=duration)
        self.press("Request access")

    def shoot(self, what: str, *, everywhere: bool = False) -> None:
        """Keep a picture of the page; ``everywhere`` also in the dark and on a phone, where nothing may stick out."""
        self._shots += 1
        self._artefacts.mkdir(parents=True, exist_ok=True)
        name = f"{self.name}-{self._shots:02d}-{what}"
        self._picture(f"{name}.png")
        if not everywhere:
            return
        self.page.emulate_media(color_scheme="dark")
        self._picture(f"{name}-dark.png")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(NARROW)
        self._picture(f"{name}-phone.png")
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        self.page.set_viewport_size(WIDE)
        assert wide <= NARROW["width"], f"{what} is {wide} px wide on a phone"

    def _picture(self, name: str) -> None:
        self.page.screenshot(path=self._artefacts / name, full_page=True, animations="disabled")
