"""The web worker: gunicorn's, which besides leaves nobody waiting at a door that is about to close."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """Finishes what it took when it is told to stop, and takes what the kernel had taken for it.

    gunicorn's own keeps the listening socket open, and asks nothing of it, until its last request is finished: whoever
    connects meanwhile waits, is reset in the end, and cannot tell whether the request was heard (measured). Closed at
    once, the door sends newcomers on to another machine.
    """

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's own signature
        """Take or leave new connections; when stopping, answer those that are in already, and close the door."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            taken = -1
            while taken < self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()
