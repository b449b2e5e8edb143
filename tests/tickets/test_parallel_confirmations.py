"""S10, S12: codes that are offered at once – each works once, and every guess that was judged stays counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import select

from tempadmin.accounts import change_password, omniadmins, own_factor, sign_in, totp
from tempadmin.accounts.models import LoginSession, Throttle, User
from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.errors import DomainError
from tests.conftest import POSTGRESQL, Build
from tests.tickets.evidence import at_once, events, faults, workers
from tests.tickets.locks import overlap, while_waiting
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import CONSOLE, PASSWORD, World
from tickets.confirm import confirm
from tickets.end import end_access
from tickets.models import AccessRequest
from tickets.states import EndReason, State

RIVALS = 24
REQUESTS = 8
WRONG = "000000"
AWAITING = State.AWAITING_CONFIRMATION


def counted(scene: Scene) -> int:
    """The wrong codes that were counted against a person."""
    db.session.rollback()
    rows = db.session.scalars(select(Throttle).where(Throttle.key.startswith(f"factor:{scene.user_id}")))
    return sum(row.failures for row in rows)


def answer_of(call: Callable[[], object]) -> str:
    """What came of a use case: its error's name, or ``right``."""
    try:
        call()
    except DomainError as error:
        return type(error).__name__
    return "right"


def confirming(world: World, scene: Scene, answer: str) -> Callable[[], str]:
    """Confirm a scene's request, in a context of its own."""

    def call() -> str:
        with world.app.app_context():
            return answer_of(
                lambda: confirm(key=scene.confirm_key, user_id=scene.user_id, answer=answer, runtime=world.runtime)
            )

    return call


def test_s10_simultaneous_confirmations_of_one_link_give_one_way_in(build: Build) -> None:
    """24 browsers over four workers send one form with one code: one gets the link, the others hear that it is done."""
    world = build(rate_limits=False)
    scene = new_scene(world, AWAITING)
    link, code = f"{CONSOLE}/access/confirm?key={scene.confirm_key}", world.code()
    with workers(world, 4) as others:
        browsers = [scene.browser(one) for one in others * (RIVALS // 4)]
        statuses = at_once([lambda one=one: one.post(link, {"code": code}).status_code for one in browsers])  # type: ignore[misc]
    assert Counter(statuses) == {200: 1, 409: RIVALS - 1}
    assert counted(scene) == 0
    assert events(scene.request_id).count("access.confirmed") == 1
    assert faults(world) == []


def test_s10_one_code_confirms_one_of_many_requests(world: World) -> None:
    """24 confirmations of eight requests with one code at once: one is confirmed, and nobody is told *wrong*."""
    first = new_scene(world, AWAITING)
    scenes = [first]
    for number in range(1, REQUESTS):
        instance = world.instance(f"more{number}")
        scenes.append(Scene(first.user_id, first.address, first.session, instance.id, instance.web_id))
        bring(world, scenes[-1], AWAITING)
    code = world.code()
    with workers(world, 4) as others:
        calls = [confirming(others[number % 4], scenes[number % REQUESTS], code) for number in range(RIVALS)]
        outcome = Counter(at_once(calls))
    assert outcome["right"] == 1
    assert set(outcome) <= {"right", "Invalid", "Conflict"}
    assert counted(first) == 0
    db.session.rollback()
    states = Counter(db.session.scalars(select(AccessRequest.state)))
    assert states == {State.READY: 1, AWAITING: REQUESTS - 1}
    assert faults(world) == []


def test_s12_a_wrong_code_whose_request_ends_meanwhile_stays_counted(world: World, database: str) -> None:
    """The end is about to commit when the guess is judged: it is told nothing but the end, and counted all the same."""
    scene = new_scene(world, AWAITING)
    with workers(world, 2) as (one, other):

        def end() -> None:
            end_access(request_id=scene.request_id, reason=EndReason.CANCELLED, actor=SERVICE, runtime=one.runtime)

        _, answer = overlap((one, end), (other, confirming(other, scene, WRONG)), at="access.ending")
    assert answer == "Conflict"
    # SQLite's one writer lets nobody judge while the end is at work.
    assert counted(scene) == (1 if database == POSTGRESQL else 0)
    assert events(scene.request_id).count("access.wrong_code") == counted(scene)
    assert faults(world) == []


@pytest.mark.parametrize("answer", [WRONG, ""], ids=["wrong", "right"])
def test_s12_a_code_that_waits_past_the_links_expiry_counts_if_it_was_wrong(
    world: World, database: str, answer: str
) -> None:
    """Wrong or right, it hears that the link is over; a wrong one that was judged is counted, a right one not used."""
    scene = new_scene(world, AWAITING)
    world.clock.advance(minutes=4, seconds=50)
    given = answer or world.code()
    heard = while_waiting(
        world, scene.request_id, confirming(world, scene, given), lambda: world.clock.advance(seconds=10)
    )
    assert heard == "Gone"
    assert counted(scene) == (1 if answer and database == POSTGRESQL else 0)
    assert world.request(scene.request_id).state == AWAITING
    bring(world, other := Scene(scene.user_id, scene.address, scene.session, *_another(world)), AWAITING)
    assert confirming(world, other, given if not answer else world.code())() == "right"


def _another(world: World) -> tuple[int, str]:
    instance = world.instance("another")
    return instance.id, instance.web_id


Guess = Callable[[World, Scene, int], None]


def at_sign_in(world: World, scene: Scene, session_id: int) -> None:
    proof = sign_in._proof(db.session.get_one(User, scene.user_id), world.runtime.keys)
    first = sign_in.FirstFactor(user_id=scene.user_id, proof=proof, needs_code=True)
    sign_in.finish(first=first, answer=WRONG, client=sign_in.Client(), runtime=world.runtime)


def at_confirmation(world: World, scene: Scene, session_id: int) -> None:
    confirm(key=scene.confirm_key, user_id=scene.user_id, answer=WRONG, runtime=world.runtime)


def at_password(world: World, scene: Scene, session_id: int) -> None:
    change_password.change_password(
        user_id=scene.user_id,
        session_id=session_id,
        present=PASSWORD,
        new="another sentence is good, too",
        answer=WRONG,
        runtime=world.runtime,
    )


def at_recovery_codes(world: World, scene: Scene, session_id: int) -> None:
    own_factor.new_recovery_codes(user_id=scene.user_id, session_id=session_id, answer=WRONG, runtime=world.runtime)


def at_change_of_factor(world: World, scene: Scene, session_id: int) -> None:
    sealed = own_factor.new_seed(user_id=scene.user_id, runtime=world.runtime)
    seed = own_factor.opened_seed(sealed, user_id=scene.user_id, runtime=world.runtime)
    own_factor.change_factor(
        user_id=scene.user_id,
        session_id=session_id,
        answer=WRONG,
        sealed=sealed,
        code=totp.code_at(seed, world.clock.now()),
        runtime=world.runtime,
    )


GUESSES: list[tuple[Guess, str]] = [
    (at_sign_in, "session.wrong_code"),
    (at_confirmation, "access.wrong_code"),
    (at_password, "account.wrong_code"),
    (at_recovery_codes, "account.wrong_code"),
    (at_change_of_factor, "account.wrong_code"),
]


@pytest.mark.parametrize(("guess", "told"), GUESSES, ids=lambda one: getattr(one, "__name__", ""))
def test_s12_a_guess_that_was_judged_is_counted_although_the_person_is_disabled(
    world: World, guess: Guess, told: str
) -> None:
    """Wherever a code is asked: the account is disabled while the guess is at work, and the guess stays counted."""
    scene = new_scene(world, AWAITING)
    db.session.rollback()
    session_id = db.session.scalars(select(LoginSession.id)).one()
    home = world.default_instance().id
    with workers(world, 2) as (one, other):

        def disable() -> None:
            omniadmins.disable_omniadmin(instance_id=home, email=scene.address, runtime=other.runtime)

        heard, _ = overlap((one, lambda: answer_of(lambda: guess(one, scene, session_id))), (other, disable), at=told)
        with other.app.app_context():
            late = answer_of(lambda: guess(other, scene, session_id))
    assert heard == "Invalid"
    assert late in ("Forbidden", "Conflict")  # refused before anything is judged
    assert counted(scene) == 1
    assert faults(world) == []
