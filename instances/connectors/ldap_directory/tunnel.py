"""A TLS connection to an LDAP server, and a plain end of it for the library: over in time, whatever the server does.

The library's own TLS knows no time-out: a server that accepts and never answers keeps its caller for ever (measured,
libldap 2.5). So TLS is Python's, which also names what is wrong with a certificate, and the library gets one end of
a socket pair. When the time is up that end is closed, and whatever the library waits for fails.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading

from instances.connectors.base import ConnectorError
from instances.connectors.wire import Allowance, TooMuch

CHUNK = 65536
LONGEST_ANSWER = 4096
START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
"""The extended request of RFC 4511, 4.14.1, as message 1; what its answer begins with, and where the result stands."""
EXTENDED_RESPONSE, RESULT_CODE = b"\x02\x01\x01\x78", b"\x0a\x01"
NO_LDAP = "what answers there speaks no LDAP"


def start_tls(sock: socket.socket, allowance: Allowance, tried: str) -> None:
    """Ask a server to go on in TLS, and read its answer to the last byte and not further.

    What an attacker puts behind that answer in clear then meets the handshake, and never the library (CVE-2011-0411).

    Raises
    ------
    ConnectorError
        When it refuses, or answers something else.
    """
    sock.settimeout(allowance.seconds_left())
    sock.sendall(START_TLS)
    body = _message(sock, allowance, tried)
    at = body.find(RESULT_CODE, 5, 11)
    if not body.startswith(EXTENDED_RESPONSE) or at < 0:
        raise ConnectorError(f"{tried}: {NO_LDAP}", setting="url")
    if (code := body[at + 2]) != 0:
        what = f"it refuses StartTLS (code {code}), and nothing is sent in clear"
        raise ConnectorError(f"{tried}: {what}", permanent=True, setting="url")


def _message(sock: socket.socket, allowance: Allowance, tried: str) -> bytes:
    tag, length = _exactly(sock, 2, allowance)
    if tag == 0x30 and length & 0x80:
        length = int.from_bytes(_exactly(sock, length & 0x7F, allowance))
    if tag != 0x30 or not 12 <= length <= LONGEST_ANSWER:
        raise ConnectorError(f"{tried}: {NO_LDAP}", setting="url")
    return _exactly(sock, length, allowance)


def _exactly(sock: socket.socket, size: int, allowance: Allowance) -> bytes:
    received = b""
    while len(received) < size:
        sock.settimeout(allowance.seconds_left())
        piece = sock.recv(size - len(received))
        if not piece:
            raise ConnectionResetError
        received += piece
    return received


class Tunnel:
    """Carries bytes between a TLS connection and a plain socket until one side closes or the allowance is used up.

    Parameters
    ----------
    far
        The connection to the server; it is closed in the end.
    """

    def __init__(self, far: ssl.SSLSocket, allowance: Allowance) -> None:
        self._far, self._allowance = far, allowance
        self.protection = far.version() or ""
        """Such as TLSv1.3."""
        near, self._inner = socket.socketpair()
        self.end = near.detach()
        """The descriptor of the plain end; whoever takes it closes it."""
        self.why: Exception | None = None
        """Why it was closed, where that was not the library's wish."""
        self._carrying = threading.Thread(target=self._carry, name="ldap-tunnel", daemon=True)
        self._carrying.start()

    def close(self) -> None:
        """Wait until all is closed; the plain end has to be closed before."""
        self._carrying.join()

    def _carry(self) -> None:
        with self._far, self._inner:
            try:
                self._far.setblocking(False)
                both = select.poll()
                both.register(self._far, select.POLLIN)
                both.register(self._inner, select.POLLIN)
                while self._step(both):
                    pass
            except (OSError, TooMuch) as error:  # kept before the library's end is closed, which wakes whoever asks
                self.why = error

    def _step(self, both: select.poll) -> bool:
        pending = self._far.pending() > 0
        seconds = 0.0 if pending else self._allowance.seconds_left()
        ready = {descriptor for descriptor, _ in both.poll(seconds * 1000)}
        if self._inner.fileno() in ready:
            sent = self._inner.recv(CHUNK)
            if not sent:
                return False
            self._allowance.begin_answer()
            self._far.settimeout(self._allowance.seconds_left())
            self._far.sendall(sent)
            self._far.setblocking(False)
        if pending or self._far.fileno() in ready:
            try:
                received = self._far.recv(CHUNK)
            except ssl.SSLWantReadError:  # a part of a record, or a session ticket
                return True
            if not received:
                raise ConnectionResetError
            self._allowance.take(len(received))
            self._inner.settimeout(self._allowance.seconds_left())
            self._inner.sendall(received)
        return True
