"""The nemesis: kills, stops and cuts as planned, and heals all of it at the end."""

from __future__ import annotations

import heapq
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count

from tests.chaos import plans
from tests.chaos.history import Recorder
from tests.chaos.plans import Trouble
from tests.chaos.processes import Service, Services
from tests.chaos.proxy import Network
from tests.postgresql import RunningCluster

Undo = Callable[[], None]
Due = tuple[float, int, float, Callable[[], Undo | None]]
"""When, which of those at once, how long it lasts, and what; the number keeps two from being compared."""


class Nemesis:
    """Does the troubles of a plan when their time comes, and undoes those that last."""

    def __init__(
        self,
        troubles: list[Trouble],
        *,
        services: Services,
        network: Network,
        cluster: RunningCluster,
        recorder: Recorder,
        leader: Callable[[], int],
    ) -> None:
        self._troubles, self._services, self._network = troubles, services, network
        self._cluster, self._recorder, self._leader = cluster, recorder, leader
        self._stopping = threading.Event()

    def run(self, begun: float) -> None:
        """Go through the plan, whose times count from ``begun``; then, or at ``stop``, heal what is left."""
        number = count(len(self._troubles))
        due: list[Due] = [
            (one.at, place, one.seconds, partial(self._do, one)) for place, one in enumerate(self._troubles)
        ]
        heapq.heapify(due)
        while due:
            at, _, lasts, action = heapq.heappop(due)
            if self._stopping.wait(max(0.0, begun + at - time.monotonic())):
                break
            if (undo := action()) is not None:
                heapq.heappush(due, (time.monotonic() - begun + lasts, next(number), 0.0, undo))
        self.heal()

    def stop(self) -> None:
        self._stopping.set()

    def heal(self) -> None:
        """Let everything go on; the dead are started again by whoever watches over them."""
        self._network.tell("heal")
        for one in self._services.all:
            one.signal(signal.SIGCONT)
        self._recorder.fault("heal")

    def _do(self, trouble: Trouble) -> Undo | None:
        kind = trouble.kind
        if kind in (plans.CUT, plans.HOLE, plans.DELAY, plans.LOSE):
            return self._on_the_network(trouble)
        if kind == plans.RESTART:
            self._cluster.restart_immediately()
            self._note(trouble)
            return None
        return self._to_a_process(trouble)

    def _on_the_network(self, trouble: Trouble) -> Undo | None:
        orders = {plans.CUT: "cut", plans.HOLE: "hole", plans.DELAY: "delay", plans.LOSE: "lose"}
        facts = {"seconds": trouble.share} if trouble.kind == plans.DELAY else {"share": trouble.share}
        met = self._network.tell(orders[trouble.kind], **facts)
        self._note(trouble, connections=met, share=trouble.share)
        return None if trouble.kind == plans.CUT else self._undo(trouble, lambda: self._network.tell("heal"))

    def _to_a_process(self, trouble: Trouble) -> Undo | None:
        server = self._services.servers[trouble.which % 2]
        scheduler = self._services.schedulers[trouble.which % 2]
        if trouble.kind == plans.STOP_LEADER:
            leader = self._leader()
            scheduler = next((one for one in self._services.schedulers if one.pid == leader), scheduler)
        one = server if trouble.kind in ON_SERVERS else scheduler
        self._note(trouble, process=one.name)
        send = partial(self._signal, one, trouble)
        if trouble.kind in KILLS:
            send(signal.SIGKILL)
            return None
        workers = send(signal.SIGSTOP)
        return self._undo(trouble, lambda: send(signal.SIGCONT, workers))

    def _signal(self, one: Service, trouble: Trouble, number: int, pids: list[int] | None = None) -> list[int]:
        """Signal a whole group, its master alone, or one of its workers; return those of whom it was a part."""
        if trouble.kind not in ON_ONE:
            one.signal(number)
            return []
        workers = one.workers()
        chosen = [workers[trouble.which // 2 % len(workers)]] if workers else []
        pids = [one.pid] if trouble.kind == plans.KILL_MASTER else chosen if pids is None else pids
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def _undo(self, trouble: Trouble, action: Callable[[], object]) -> Undo:
        def undo() -> None:
            action()
            self._recorder.fault(f"end of {trouble.kind}")

        return undo

    def _note(self, trouble: Trouble, **facts: object) -> None:
        lasts = {"seconds": round(trouble.seconds, 1)} if trouble.seconds else {}
        self._recorder.fault(trouble.kind, **lasts, **facts)


KILLS = (plans.KILL_SERVER, plans.KILL_MASTER, plans.KILL_WORKER, plans.KILL_SCHEDULER)
ON_ONE = (plans.KILL_MASTER, plans.KILL_WORKER, plans.STOP_WORKER)
ON_SERVERS = (plans.KILL_SERVER, plans.KILL_WORKER, plans.KILL_MASTER, plans.STOP_SERVER, plans.STOP_WORKER)
