"""An LDAP server that is the wrong one, down, slow or hostile: an error in words, in time, and nothing in clear."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from instances.connectors.base import ConnectorError
from instances.connectors.registry import connector_for
from instances.connectors.settings import checked
from tests.instances.ldap_server import SERVICE, SERVICES_PASSWORD, SUFFIX, need_ldap, server
from tests.instances.products import Script, certificate, hanging, product
from tests.world import World

pytestmark = [pytest.mark.only_sqlite, pytest.mark.ldap]

SECONDS = 0.6
BOUND = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
"""The answer to a right sign-in."""
GO_ON = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
"""The answer to StartTLS: yes."""
REFUSED = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"
LONG_FORM = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"
"""Yes, as Active Directory writes lengths."""


@pytest.fixture(autouse=True)
def _in_a_world(world: World) -> None:
    need_ldap()


@contextmanager
def opened(url: str, ca: str = "", *, seconds: float = 5, **changes: Any) -> Iterator[Any]:
    """Reach a server as the connector does."""
    kind: Any = type(connector_for("ldap"))
    connector = kind()
    connector.timeout = timedelta(seconds=seconds)
    values = {"url": url, "ca_file": ca, "bind_dn": SERVICE, "bind_password": SERVICES_PASSWORD, "base_dn": SUFFIX}
    with connector.open(checked(kind.settings, {**values, "group_dn": f"cn=admins,{SUFFIX}", **changes}), 1) as reached:
        yield reached


def error_of(url: str, ca: str = "", *, seconds: float = 5, **changes: Any) -> ConnectorError:
    """What comes of looking around there."""
    with pytest.raises(ConnectorError) as raised, opened(url, ca, seconds=seconds, **changes) as reached:
        list(reached.listed())
    assert SERVICES_PASSWORD not in str(raised.value)
    return raised.value


def step_by_step(*answers: bytes, then: Script = hanging, heard: list[bytes] | None = None) -> Script:
    """Answer one message after the other, then go on so."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        for answer in answers:
            said = connection.recv(65536)
            if heard is not None:
                heard.append(said)
            connection.sendall(answer)
        then(connection, over)

    return script


def dripping(connection: socket.socket, over: threading.Event) -> None:
    """A long answer, byte by byte."""
    connection.sendall(b"\x30\x84\x00\x00\x0f\xff")
    while not over.wait(0.05):
        connection.sendall(b"\x04")


def flooding(connection: socket.socket, over: threading.Event) -> None:
    """An answer that never ends, as fast as it goes."""
    connection.sendall(b"\x30\x84\x7f\xff\xff\xff")
    while not over.is_set():
        connection.sendall(b"\x04" * 65536)


def saying(words: bytes) -> Script:
    def say(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(words)
        over.wait(5)

    return say


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_both_ways_to_tls_lead_to_the_same_directory(scheme: str) -> None:
    """At once, or by StartTLS before anything is said."""
    real = server()
    port = real.port if scheme == "ldap" else real.safe_port
    with opened(f"{scheme}://localhost:{port}", real.certificate) as reached:
        assert "TLSv1." in next(iter(reached.probe()))


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_certificate_for_another_name_or_of_an_unknown_issuer_is_refused(scheme: str) -> None:
    """Either is for good, and names the setting to look at; nobody is signed in."""
    real = server()
    port = real.port if scheme == "ldap" else real.safe_port
    wrong = error_of(f"{scheme}://127.0.0.1:{port}", real.certificate)
    assert (wrong.permanent, wrong.setting) == (True, "url")
    assert "for another name" in str(wrong)
    unknown = error_of(f"{scheme}://localhost:{port}")
    assert (unknown.permanent, unknown.setting) == (True, "ca_file")
    assert "not trusted" in str(unknown)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (REFUSED, r"refuses StartTLS \(code 52\)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no LDAP"),
        (b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00", "speaks no LDAP"),
        (b"\x30\x84\x7f\xff\xff\xff", "speaks no LDAP"),
        (GO_ON + BOUND, "no TLS connection came about"),
        (LONG_FORM + b"not TLS", "no TLS connection came about"),
    ],
)
def test_nothing_is_said_in_clear_and_nothing_is_believed(answer: bytes, words: str) -> None:
    """No password goes out before TLS holds, and what was slipped in before it is no answer (CVE-2011-0411)."""
    heard: list[bytes] = []
    with product(step_by_step(answer, b"", heard=heard)) as bad:
        error = error_of(f"ldap://localhost:{bad.port}", seconds=SECONDS * 4)
    assert error.setting == "url"
    assert re.search(words, str(error)), str(error)
    assert SERVICES_PASSWORD.encode() not in b"".join(heard)


HANGS: dict[str, tuple[bool, Script]] = {
    "says nothing to StartTLS": (False, hanging),
    "answers StartTLS and then says nothing": (False, step_by_step(GO_ON)),
    "drips its answer to StartTLS": (False, dripping),
    "says nothing to a sign-in": (True, hanging),
    "drips its answer to a sign-in": (True, dripping),
    "lets us in and then says nothing": (True, step_by_step(BOUND)),
    "lets us in and then drips": (True, step_by_step(BOUND, then=dripping)),
}


@pytest.mark.parametrize("what", HANGS)
def test_a_server_that_does_not_answer_costs_a_moment_and_stops_no_other_thread(what: str, tmp_path: Path) -> None:
    """All that is done in one call has one limit, whatever drips; meanwhile everybody else goes on."""
    safe, script = HANGS[what]
    context, ca = certificate(tmp_path, "localhost")
    with product(script, context=context if safe else None) as slow, another_thread_at_work() as looks:
        began = time.monotonic()
        error = error_of(f"{'ldaps' if safe else 'ldap'}://localhost:{slow.port}", ca, seconds=SECONDS)
        assert time.monotonic() - began < SECONDS + 5
        assert looks() > 5
    assert f"no answer within {SECONDS:g} s" in str(error)
    assert not error.permanent


def test_a_handshake_that_never_ends_costs_a_moment() -> None:
    """An address of ldaps:// behind which nobody speaks TLS."""
    with product(hanging) as slow:
        error = error_of(f"ldaps://localhost:{slow.port}", seconds=SECONDS)
    assert "connect: no answer within" in str(error)


BAD: dict[str, tuple[Script, str]] = {
    "answers without end": (step_by_step(BOUND, then=flooding), "longer than 8 MiB"),
    "is no LDAP server": (saying(b"HTTP/1.1 200 OK\r\n\r\n<html>"), "sign in as"),
    "hangs up": (step_by_step(BOUND, b"", then=lambda *_: None), "the connection broke"),
    "says nonsense": (step_by_step(BOUND, b"\x30\x03\x02\x01\x02"), "search"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_server_that_behaves_badly_is_an_error_in_words(what: str, tmp_path: Path) -> None:
    """Too much, something else, nothing more, nonsense: what was tried and what came back."""
    script, words = BAD[what]
    context, ca = certificate(tmp_path, "localhost")
    with product(script, context=context) as bad:
        error = error_of(f"ldaps://localhost:{bad.port}", ca, seconds=1)
    assert str(error).startswith(f"ldaps://localhost:{bad.port}: ")
    assert words in str(error)
    assert not error.permanent


def test_a_broken_connection_is_never_made_again_by_the_library(tmp_path: Path) -> None:
    """That would be in clear, and tell whoever answers what it has to say."""
    context, ca = certificate(tmp_path, "localhost")
    with product(step_by_step(BOUND, then=lambda *_: None), context=context) as short:
        with opened(f"ldaps://localhost:{short.port}", ca) as reached:
            for _ in range(3):
                with pytest.raises(ConnectorError, match="connection broke"):
                    list(reached.listed())
        assert short.visits == 1


def test_p12_a_server_that_repeats_the_password_is_not_quoted(tmp_path: Path) -> None:
    """Whatever stands in its words."""
    words = b"wrong: " + SERVICES_PASSWORD.encode()
    body = b"\x02\x01\x01\x61" + bytes([7 + len(words)]) + b"\x0a\x01\x31\x04\x00\x04" + bytes([len(words)]) + words
    context, ca = certificate(tmp_path, "localhost")
    with product(step_by_step(b"\x30" + bytes([len(body)]) + body), context=context) as rude:
        error = error_of(f"ldaps://localhost:{rude.port}", ca)
    assert "wrong: ***" in str(error)
    assert (error.permanent, error.setting) == (True, "bind_password")


@pytest.mark.parametrize(("url", "words"), [("ldaps://localhost:1", "nothing listens"), ("ldap://a.invalid", "name")])
def test_a_server_that_is_not_there_may_come_back(url: str, words: str) -> None:
    """Nothing listens, or nobody knows the name: the address is named, and asking again may help."""
    error = error_of(url)
    assert words in str(error)
    assert (error.permanent, error.setting) == (False, "url")


@contextmanager
def another_thread_at_work() -> Iterator[Callable[[], int]]:
    """Have a thread look at its watch all the time; tell how often it could."""
    over, looks = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(0.01):
            looks[0] += 1

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: looks[0]
    finally:
        over.set()
        thread.join()
