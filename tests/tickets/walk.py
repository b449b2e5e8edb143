"""The people in the random walk of a request's life: every step goes to the real use case and to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tempadmin.accounts.sign_in import Client
from tempadmin.errors import DomainError
from tests.tickets import model
from tests.tickets.directories import Counting, put_in
from tests.tickets.evidence import code_in, key_in, thief
from tests.tickets.scenes import Scene, new_scene
from tests.world import REASON, World
from tickets import confirm
from tickets.codes import challenge_of
from tickets.hand_off import Kept, depart, issue_code, open_cookie
from tickets.provision import provision
from tickets.redeem import redeem
from tickets.request import request_access
from tickets.sign_in_link import SignInLink

PICK = st.integers(0, 5)
MOSTLY = st.sampled_from([True, True, True, False])


@dataclass
class Held:
    """A link in somebody's hands: its key, what the model says of it, and whose request it is of."""

    key: str
    link: model.Link
    asked: model.Request
    request_id: int
    public_id: str


@dataclass(eq=False)
class Window:
    """A browser that opened a one-time link, and the code that it was given last."""

    held: Held
    kept: Kept
    code: str = ""


def answer_of(call: Callable[[], object]) -> str:
    """What a use case answers."""
    try:
        call()
    except DomainError as error:
        return type(error).__name__
    return model.DONE


class People(RuleBasedStateMachine):
    """One omniadmin, a colleague, a customer, and requests one after the other; time stands still between rules."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.clock, self.runtime = world, world.clock, world.runtime
        self.directory = Counting()
        put_in(world.app, self.directory)
        self.scene: Scene = new_scene(world)
        self.colleague = new_scene(world)
        self.person = model.Person()
        self.places = [self.scene.instance_id]
        self.requests: list[tuple[int, str, model.Request]] = []
        self.links: list[Held] = []
        self.windows: list[Window] = []
        self.cookies: list[tuple[Scene, str, model.Request]] = []

    @property
    def newest(self) -> model.Request | None:
        return self.requests[-1][2] if self.requests else None

    @property
    def mailed(self) -> list[Held]:
        return [one for one in self.links if one.link.purpose == model.CONFIRM]

    @property
    def shown(self) -> list[Held]:
        return [one for one in self.links if one.link.purpose == model.LOGIN]

    @property
    def well(self) -> bool:
        return self.directory.remove_error is None

    def who(self, *, mine: bool) -> int:
        return self.scene.user_id if mine else self.colleague.user_id

    def state_of(self, request_id: int) -> str:
        return str(self.world.request(request_id).state)

    def end_all(self, reason: str, found: list[model.Request]) -> None:
        for one in found:
            if one.is_open:
                one.end(reason, now=self.clock.now(), removable=self.well)

    def hold(self, key: str, request_id: int, public_id: str, asked: model.Request) -> None:
        self.links.append(Held(key, asked.links[-1], asked, request_id, public_id))

    def tried(self, request_id: int, public_id: str, asked: model.Request, creates: int) -> None:
        """Follow what a try to make the account came to; the job may find it not due."""
        now, new = self.clock.now(), self.directory.creates - creates
        last = asked.last_try or asked.asked_at
        if new:
            assert new == 1
            assert asked.tries < model.TRIES
            assert not asked.tries or now - asked.asked_at < model.TRIED_FOR
            asked.tries, asked.last_try = asked.tries + 1, now
            if self.directory.create_error is None:
                asked.made(now)
                self.hold(key_in(self.world.confirmation_link()), request_id, public_id, asked)
                return
            permanent = self.directory.create_error.permanent
            if permanent or asked.tries == model.TRIES:
                asked.last_try = None if permanent else now
                asked.end("provisioning_failed", now=now, removable=self.well)
        elif asked.tries and now - asked.asked_at >= model.TRIED_FOR:
            if self.state_of(request_id) != model.PROVISIONING:
                asked.end("provisioning_failed", now=now, removable=self.well)
            else:
                assert now - last < model.TRIED_FOR, "nobody goes on with it"

    @rule()
    @precondition(lambda self: self.newest is None or not self.newest.is_open or len(self.requests) == 2)
    def ask(self) -> None:
        answer = answer_of(
            lambda: request_access(
                requester_id=self.scene.user_id,
                web_id=self.scene.web_id,
                reason=REASON,
                external_ticket=None,
                duration=model.DURATION,
                runtime=self.runtime,
            )
        )
        open_one = self.newest is not None and self.newest.is_open
        assert answer == ("Forbidden" if not self.person.active else "AlreadyOpen" if open_one else model.DONE)
        if answer == model.DONE:
            row = self.world.newest_request()
            self.requests.append((row.id, row.public_id, model.Request(self.person, self.clock.now())))

    @rule()
    @precondition(lambda self: self.newest is not None and self.newest.state == model.PROVISIONING)
    def provision(self) -> None:
        request_id, public_id, asked = self.requests[-1]
        creates = self.directory.creates
        provision(request_id=request_id, runtime=self.runtime)
        assert asked.tries or self.directory.creates > creates
        self.tried(request_id, public_id, asked, creates)

    @rule(pick=PICK, right=MOSTLY, mine=MOSTLY)
    @precondition(lambda self: self.mailed)
    def confirm(self, *, pick: int, right: bool, mine: bool) -> None:
        held = self.mailed[-1 - pick % len(self.mailed)]
        code = self.world.code() if right else "000000"
        found: list[SignInLink] = []
        call = lambda: found.append(  # noqa: E731
            confirm.confirm(key=held.key, user_id=self.who(mine=mine), answer=code, runtime=self.runtime)
        )
        assert answer_of(call) == held.asked.confirms(held.link, mine=mine, right=right, now=self.clock.now())
        for link in found:
            self.hold(link.key, held.request_id, held.public_id, held.asked)

    @rule(purpose=st.sampled_from([model.CONFIRM, model.LOGIN]), mine=MOSTLY)
    @precondition(lambda self: self.newest is not None)
    def renew(self, *, purpose: str, mine: bool) -> None:
        request_id, public_id, asked = self.requests[-1]
        keys: list[str] = []

        def call() -> None:
            user_id = self.who(mine=mine)
            if purpose == model.CONFIRM:
                confirm.send_again(request_id=request_id, user_id=user_id, runtime=self.runtime)
                keys.append(key_in(self.world.confirmation_link()))
            else:
                link = confirm.new_sign_in_link(request_id=request_id, user_id=user_id, runtime=self.runtime)
                keys.append(link.key)

        assert answer_of(call) == asked.renews(purpose, mine=mine, now=self.clock.now())
        for key in keys:
            self.hold(key, request_id, public_id, asked)

    @rule(pick=PICK)
    @precondition(lambda self: self.shown)
    def open_link(self, pick: int) -> None:
        held = self.shown[-1 - pick % len(self.shown)]
        instance_id = self.world.request(held.request_id).instance_id
        found: list[Kept | None] = []

        def call() -> None:
            gone = depart(key=held.key, instance_id=instance_id, cookie=None, runtime=self.runtime)
            found.append(open_cookie(gone.cookie, instance_id=instance_id, runtime=self.runtime))

        assert answer_of(call) == (model.DONE if held.link.works(self.clock.now()) else "Gone")
        self.windows += [Window(held, kept) for kept in found if kept is not None]

    @rule(pick=PICK, mine=MOSTLY)
    @precondition(lambda self: self.windows)
    def fetch_code(self, *, pick: int, mine: bool) -> None:
        window = self.windows[-1 - pick % len(self.windows)]
        urls: list[str] = []
        call = lambda: urls.append(  # noqa: E731
            issue_code(
                public_id=window.held.public_id,
                challenge=challenge_of(window.kept.verifier),
                user_id=self.who(mine=mine),
                runtime=self.runtime,
            )
        )
        assert answer_of(call) == window.held.asked.fetches_code(window, mine=mine, now=self.clock.now())
        for url in urls:
            window.code = code_in(url)

    @rule(pick=PICK)
    @precondition(lambda self: self.windows)
    def come_back(self, pick: int) -> None:
        window = self.windows[-1 - pick % len(self.windows)]
        held = window.held
        found: list[str] = []
        instance_id = self.world.request(held.request_id).instance_id
        call = lambda: found.append(  # noqa: E731
            redeem(
                kept=window.kept,
                code=window.code,
                instance_id=instance_id,
                present_session=None,
                client=Client(),
                runtime=self.runtime,
            ).secret
        )
        assert answer_of(call) == held.asked.redeems(held.link, window, self.clock.now())
        window.code = ""
        self.cookies += [(self.scene, secret, held.asked) for secret in found]

    @rule(pick=PICK)
    @precondition(lambda self: self.cookies)
    def look(self, pick: int) -> None:
        scene, secret, asked = self.cookies[-1 - pick % len(self.cookies)]
        status = thief(self.world, secret, scene.base).get(f"{scene.base}/users").status_code
        assert (status == 200) == asked.serves(self.clock.now())
