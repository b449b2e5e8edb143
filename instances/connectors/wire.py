"""Sockets of one call that is over in time, whatever the other side does (issue 6, *hostile*).

Time-outs of a single read are no limit: a server that drips one byte a second never meets one. So every step, the
look-up of the name included, gets what is left of one deadline, and what comes in is counted before anybody reads it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import httpcore

from instances.connectors import patience
from tempadmin.clock import steady_seconds

Address = tuple[int, tuple[Any, ...]]


class TooMuch(Exception):
    """More came in than any honest answer is long."""


class Elsewhere(Exception):
    """A name that has to lead to this machine leads to another."""


class Allowance:
    """What one call may take: time in all, bytes for each answer.

    Parameters
    ----------
    lasts
        From now on, on a clock that nobody can set; less where somebody waits (``patience``).
    most
        Bytes of one answer as they come over the wire, headers included.
    """

    def __init__(self, *, lasts: timedelta, most: int) -> None:
        self._ends, self._most = steady_seconds() + patience.within(lasts).total_seconds(), most
        self._received = 0

    def seconds_left(self) -> float:
        """Return the time that is left; raises ``TimeoutError`` when there is none."""
        left = self._ends - steady_seconds()
        if left <= 0:
            raise TimeoutError
        return left

    def begin_answer(self) -> None:
        """Count the next answer from nothing."""
        self._received = 0

    def take(self, size: int) -> None:
        """Count what came in; raises ``TooMuch``."""
        self._received += size
        if self._received > self._most:
            raise TooMuch


class Backend(httpcore.NetworkBackend):
    """Makes connections that all live on one allowance; some only to this very machine."""

    def __init__(self, allowance: Allowance, *, only_here: bool) -> None:
        self._allowance, self._only_here = allowance, only_here

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a name that answers."""
        return _Stream(connected(host, port, self._allowance, only_here=self._only_here), self._allowance)


class _Stream(httpcore.NetworkStream):
    def __init__(self, sock: socket.socket, allowance: Allowance) -> None:
        self._sock, self._allowance = sock, allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(self._allowance.seconds_left())
        received = self._sock.recv(max_bytes)
        self._allowance.take(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            self._sock.settimeout(self._allowance.seconds_left())
            try:
                rest = rest[self._sock.send(rest) :]
            except (BrokenPipeError, ConnectionResetError) as error:  # it may have answered before it had read all
                raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(self._allowance.seconds_left())
            return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._allowance)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
        if info == "is_readable":  # an idle connection with something to say was closed, or is out of step
            waiting = select.poll()  # and not select(), which knows the first 1,024 files alone
            waiting.register(self._sock, select.POLLIN)
            return bool(waiting.poll(0))
        return None


def connected(host: str, port: int, allowance: Allowance, *, only_here: bool = False) -> socket.socket:
    """Connect to the first address of a name that answers; raises ``OSError``, ``TimeoutError`` among them.

    Parameters
    ----------
    only_here
        Raise ``Elsewhere`` when the name leads to any other machine.
    """
    failed: OSError = TimeoutError()
    addresses = _addresses(host, port, allowance.seconds_left())
    if only_here and not all(ip_address(address[0]).is_loopback for _, address in addresses):
        raise Elsewhere
    for family, address in addresses:
        try:
            return _connected(family, address, allowance)
        except OSError as error:  # its time is up, or the next address may answer
            failed = error
    raise failed


def _connected(family: int, address: tuple[Any, ...], allowance: Allowance) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(allowance.seconds_left())
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _addresses(host: str, port: int, seconds: float) -> list[Address]:
    """Look a name up; the system's look-up knows no time-out, so it is left behind when it takes too long."""
    found: list[Address] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            every = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((family, address) for family, _type, _proto, _name, address in every)
        except OSError as error:
            failed.append(error)

    looking = threading.Thread(target=look_up, name="look-up", daemon=True)
    looking.start()
    looking.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found
