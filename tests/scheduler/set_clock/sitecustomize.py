"""For processes under libfaketime: its `clock_nanosleep` refuses what Python's `time.sleep` asks of it (measured)."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.__dict__["sleep"] = _sleep
