"""A launcher of the real `tempadmin serve`, which dies by SIGKILL at the commit that a request names.

The program is imported once and forked for each line on standard input, a port: so a start costs little. The answer is
the server's process id, and once it is dead its exit code. A request with the header ``X-Dies: before 3`` has the whole
process group killed just before, ``after 3`` just after, the third commit of this server's requests with that header.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import Any

from flask import has_request_context, request
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from tempadmin.cli import build, main

HEADER = "X-Dies"
BEFORE, AFTER = "before", "after"


def arm() -> None:
    """Listen to every engine and session that this process will have."""
    numbers, last = count(1), [0]

    def die_if(side: str) -> None:
        if request.headers[HEADER] == f"{side} {last[0]}":
            os.killpg(0, signal.SIGKILL)

    @event.listens_for(Engine, "commit")
    def _on_commit(_connection: Any) -> None:
        if has_request_context() and HEADER in request.headers:
            last[0] = next(numbers)
            die_if(BEFORE)

    @event.listens_for(Session, "after_commit")
    def _on_committed(_session: Any) -> None:
        if has_request_context() and HEADER in request.headers:
            die_if(AFTER)


def launch() -> None:
    """Fork a server for each line, and tell how it ended."""
    build([])  # imports all that the command needs
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            arm()
            sys.argv = ["tempadmin", "serve", "--port", line.strip()]
            sys.exit(main())  # type: ignore[func-returns-value]
        _answer(child)
        _answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    launch()
