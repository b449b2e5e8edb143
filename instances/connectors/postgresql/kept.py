"""Connections that stay open between two calls: to connect takes longer than all else that a call does.

They belong to one process. A child that was forked off leaves those of its parent alone: whatever it said on them,
even a farewell, would end up in the parent's conversation.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from time import monotonic

from instances.connectors.postgresql.line import Line
from instances.connectors.postgresql.roles import Dropped
from instances.connectors.postgresql.settings import PostgresqlSettings

MOST = 4
"""Connections that are kept of one instance; what is needed beyond that is opened for one call."""
IDLE_SECONDS, AGE_SECONDS = 60.0, 600.0

_all: weakref.WeakSet[Kept] = weakref.WeakSet()
_of_the_parent: list[Line] = []


class _Server:
    """What is kept of one instance's server."""

    def __init__(self, settings: PostgresqlSettings) -> None:
        self.settings, self.dropped = settings, Dropped()
        self.idle: list[tuple[float, Line]] = []
        """Since when each is idle; the one that was used last comes last."""


class Kept:
    """The open connections of one connector in this process; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock, self._servers = Lock(), dict[int, _Server]()
        self._timer: Timer | None = None
        _all.add(self)

    @contextmanager
    def line(self, instance_id: int, settings: PostgresqlSettings, *, until: float) -> Iterator[tuple[Line, Dropped]]:
        """Lend a connection for one call; one of other settings than these is closed.

        Raises
        ------
        ConnectorError
            When there is none, and none can be made.
        """
        server = self._server(instance_id, settings)
        line = self._take(server) or Line.open(settings, until=until)
        line.until = until
        try:
            yield line, server.dropped
        finally:
            self._give_back(instance_id, server, line)

    def close(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            lines = [line for server in self._servers.values() for _, line in server.idle]
            for server in self._servers.values():
                server.idle = []
        _close(lines)

    def forget(self) -> None:
        """Leave everything to the parent that forked this process off."""
        for server in self._servers.values():
            for _, line in server.idle:
                _of_the_parent.append(line)
                with suppress(OSError):
                    os.close(line.fileno())
        self._lock, self._servers, self._timer = Lock(), {}, None

    def _server(self, instance_id: int, settings: PostgresqlSettings) -> _Server:
        with self._lock:
            server = self._servers.get(instance_id)
            if server is not None and server.settings == settings:
                return server
            old = [] if server is None else [line for _, line in server.idle]
            fresh = self._servers[instance_id] = _Server(settings)
            if server is not None:
                fresh.dropped, server.idle = server.dropped, []
        _close(old)
        return fresh

    def _take(self, server: _Server) -> Line | None:
        while True:
            with self._lock:
                if not server.idle:
                    return None
                _, line = server.idle.pop()
            if line.is_sound and monotonic() - line.since < AGE_SECONDS:
                return line
            line.close()

    def _give_back(self, instance_id: int, server: _Server, line: Line) -> None:
        if line.is_sound:
            with self._lock:
                if self._servers.get(instance_id) is server and len(server.idle) < MOST:
                    server.idle.append((monotonic(), line))
                    self._look_again()
                    return
        line.close()

    def _look_again(self) -> None:
        """Have what stays idle closed: a server's connections are few, and its owner's."""
        if self._timer is None:
            self._timer = Timer(IDLE_SECONDS, self._close_idle)
            self._timer.daemon = True
            self._timer.start()

    def _close_idle(self) -> None:
        now, old = monotonic(), []
        with self._lock:
            self._timer = None
            for server in self._servers.values():
                old += [line for since, line in server.idle if now - since >= IDLE_SECONDS]
                server.idle = [(since, line) for since, line in server.idle if now - since < IDLE_SECONDS]
            if any(server.idle for server in self._servers.values()):
                self._look_again()
        _close(old)


def _close(lines: list[Line]) -> None:
    for line in lines:
        line.close()


def _forget_all() -> None:
    for kept in list(_all):
        kept.forget()


os.register_at_fork(after_in_child=_forget_all)
