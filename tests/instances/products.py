"""Products as bad as they come: real servers on loopback, each connection answered by a script that a test gives."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[[socket.socket, threading.Event], None]
"""What is done on a connection; the event is set when the test is over."""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Product:
    """A server that follows its present script, and counts who came."""

    def __init__(self, script: Script, *, context: ssl.SSLContext | None = None) -> None:
        self.script, self.visits = script, 0
        self.context, self._over = context, threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://localhost:{self.port}/scim"

    def close(self) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _from = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self.context is None:
                self.script(connection, self._over)
                return
            with self.context.wrap_socket(connection, server_side=True) as safe:
                self.script(safe, self._over)


def relaying(port: int) -> Script:
    """Hand everything on to a server that behaves, and back."""

    def relay(connection: socket.socket, over: threading.Event) -> None:
        with socket.create_connection(("127.0.0.1", port)) as behind:
            asking = threading.Thread(target=_pour, args=(connection, behind))
            asking.start()
            _pour(behind, connection)
            connection.shutdown(socket.SHUT_RDWR)
            asking.join(10)

    return relay


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)


def hanging_up(connection: socket.socket, _over: threading.Event) -> None:
    """Listen, and go."""
    connection.recv(65536)


@contextmanager
def product(script: Script, *, context: ssl.SSLContext | None = None) -> Iterator[Product]:
    served = Product(script, context=context)
    try:
        yield served
    finally:
        served.close()


def saying(answer: bytes, *, closes: bool = False) -> Script:
    """Answer every request of a connection with this, as it stands."""

    def say(connection: socket.socket, _over: threading.Event) -> None:
        while connection.recv(65536):
            connection.sendall(answer)
            if closes:
                return

    return say


def with_length(body: bytes, head: bytes = OK) -> bytes:
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def hanging(connection: socket.socket, over: threading.Event) -> None:
    """Say nothing at all."""
    over.wait(30)


def for_ever(head: bytes, piece: bytes, pause: float = 0) -> Script:
    """Begin to answer, and never end."""

    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(piece)

    return drip


@cache
def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, str]:
    """Return a server's side of TLS for these names, signed by itself, and the certificate as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.fromtimestamp(0, dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=40_000))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{names[0]}.pem"
    path.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, pem.decode()


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
