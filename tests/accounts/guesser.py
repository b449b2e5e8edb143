"""Processes of their own for the tests: they guess as fast as they can, and print how each guess was answered.

They are forked, as gunicorn's workers are: what the program imports is imported once.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from tempadmin.accounts import reproof, sign_in
from tempadmin.accounts.models import User
from tempadmin.app import create_app
from tempadmin.db import db
from tempadmin.errors import DomainError
from tempadmin.runtime import current_runtime
from tests.accounts.people import ADA
from tests.world import settings_for

WAIT_SECONDS = 60


def guess_password(user: User, number: int) -> None:
    sign_in.check_password(
        instance_id=user.instance_id,
        email=ADA,
        password=f"guess number {number}",
        network="192.0.2.0/24",
        client=sign_in.Client(),
        runtime=current_runtime(),
    )


def guess_code(user: User, number: int) -> None:
    runtime = current_runtime()
    first = sign_in.FirstFactor(user_id=user.id, proof=sign_in._proof(user, runtime.keys), needs_code=True)
    # Codes and recovery codes in turn: they are counted together.
    answer = "000000" if number % 2 else "abcdefg-abcdefg-abcdefg-abcdefg"
    sign_in.finish(first=first, answer=answer, client=sign_in.Client(), runtime=runtime)


def guess_present_password(user: User, number: int) -> None:
    reproof.prove_password(user_id=user.id, password=f"guess {number}", field="present", runtime=current_runtime())


KINDS: dict[str, Callable[[User, int], None]] = {
    "password": guess_password,
    "code": guess_code,
    "present": guess_present_password,
}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def guess(app: Flask, kind: str, count: int, together: Barrier) -> None:
    """One process: waits for the others, then guesses."""
    with app.app_context():
        user = db.session.scalars(select(User).where(User.email == ADA)).one()
        db.session.rollback()
        together.wait(WAIT_SECONDS)
        for number in range(count):
            try:
                KINDS[kind](user, number)
            except DomainError as error:
                say(type(error).__name__)
            else:
                say("right")
            db.session.rollback()


def main(data: str, database_url: str, kind: str, count: str, processes: str) -> None:
    app = create_app(settings_for(Path(data), database_url=database_url))
    forking = multiprocessing.get_context("fork")
    together = forking.Barrier(int(processes))
    children = [forking.Process(target=guess, args=(app, kind, int(count), together)) for _ in range(int(processes))]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(any(child.exitcode for child in children))


if __name__ == "__main__":
    main(*sys.argv[1:])
