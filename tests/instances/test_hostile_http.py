"""A product that is down, slow or hostile costs a moment and an error in words; real servers on loopback."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import zlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from instances.connectors.base import ConnectorError
from instances.connectors.http import MOST_BYTES, guarded_client, json_of, usable_ca, usable_url
from instances.connectors.wording import refused
from tempadmin.clock import steady_seconds
from tests.instances.products import OK, certificate, for_ever, hanging, hanging_up, product, saying, with_length

PATIENCE = timedelta(seconds=0.6)
TOKEN = "correct-horse-battery"
HUGE = b"x" * 65536
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def ask(url: str, *, ca_pem: str | None = None, token: str = TOKEN, lasts: timedelta = PATIENCE) -> object:
    """Ask a product as a connector does, and give up as it does."""
    headers = {"Authorization": f"Bearer {token}"}
    with guarded_client(url=url, timeout=lasts, ca_pem=ca_pem, headers=headers) as client:
        response = client.get(f"{url}/Users", params={"filter": "secret-filter"})
        if response.status_code >= 400:
            raise refused(response)
        return json_of(response)


def error_of(asked: Callable[[], object], lasts: timedelta = PATIENCE) -> ConnectorError:
    began = steady_seconds()
    with pytest.raises(ConnectorError) as raised:
        asked()
    assert steady_seconds() - began < lasts.total_seconds() + 1.5
    words = str(raised.value)
    assert TOKEN not in words
    assert "secret-filter" not in words
    assert len(words) <= 300
    assert words.isprintable()
    return raised.value


def storm(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65536)
    while not over.is_set():
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


BAD = {
    "says nothing": (hanging, "no whole answer within 0.6 s"),
    "hangs up": (hanging_up, "no HTTP: Server disconnected"),
    "drips its status": (for_ever(b"HTTP/1.1 2", b"0", 0.05), "no whole answer within"),
    "drips its headers": (for_ever(OK, b"X", 0.05), "no whole answer within"),
    "drips its body": (for_ever(OK + b"Content-Length: 100000\r\n\r\n", b"x", 0.05), "no whole answer within"),
    "storms with 1xx, slowly": (for_ever(b"", b"HTTP/1.1 103 Hints\r\n\r\n", 0.05), "no whole answer within"),
    "storms with 1xx": (storm, "longer than 1024 KiB"),
    "floods with headers": (for_ever(OK, b"X-More: " + HUGE[:4000] + b"\r\n"), "no HTTP: Receive buffer too long"),
    "is huge, of a length": (for_ever(OK + b"Content-Length: 9999999999\r\n\r\n", HUGE), "longer than 1024 KiB"),
    "is huge, in chunks": (for_ever(CHUNKED, b"10000\r\n" + HUGE + b"\r\n"), "longer than 1024 KiB"),
    "is huge, until it closes": (for_ever(OK + b"\r\n", HUGE), "longer than 1024 KiB"),
    "is a gzip bomb": (
        saying(with_length(gzip.compress(bytes(50 * MOST_BYTES)), OK + b"Content-Encoding: gzip\r\n")),
        "longer than 1024 KiB",
    ),
    "is a bomb in a bomb": (
        saying(with_length(gzip.compress(gzip.compress(b"[]")), OK + b"Content-Encoding: gzip, gzip\r\n")),
        "compressed in a way that nobody asked for",
    ),
    "is broken gzip": (
        saying(with_length(b"no gzip at all", OK + b"Content-Encoding: gzip\r\n")),
        "compressed in a way that nobody asked for",
    ),
    "breaks off": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,", closes=True),
        "no HTTP: peer closed connection",
    ),
    "is garbage": (saying(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n", closes=True), "no HTTP: illegal status line"),
    "has two lengths": (
        saying(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n[]", closes=True),
        "no HTTP: conflicting",
    ),
    "is HTML": (
        saying(with_length(b"<html>\n<h1>Sign in</h1>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")),
        "answered no JSON: 200, text/html: “<html> <h1>Sign in</h1>”",
    ),
    "is JSON that never ends": (saying(with_length(b"[" * 100_000)), "answered no JSON: 200, application/json"),
    "is no text in its charset": (
        saying(with_length(b"<p>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=base64\r\n")),
        "answered no JSON: 200, text/html: “<p>”",
    ),
    "repeats the token": (
        saying(with_length(f"no such token: {TOKEN}".encode(), b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\n")),
        "answered 401 (text/plain): “no such token: ***”",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_product_that_behaves_badly_costs_a_moment_and_is_an_error_in_words(what: str) -> None:
    """Whatever it does, the call is over in time and says what was tried and what came back, without a secret."""
    script, words = BAD[what]
    lasts = PATIENCE if "within" in words else timedelta(seconds=20)
    with product(script) as bad:
        error = error_of(lambda: ask(bad.url, lasts=lasts), lasts)
    assert str(error).startswith(f"GET {bad.url}/Users: ")
    assert words in str(error)
    assert error.permanent == (what == "repeats the token")


def test_nobody_listens_and_nobody_accepts() -> None:
    """A port without a server is said at once; one whose queue is full is given up in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        url = f"http://localhost:{full.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        assert "no whole answer within 0.6 s" in str(error_of(lambda: ask(url)))
        for one in waiting:
            one.close()
    nobody = error_of(lambda: ask(url))
    assert "nothing listens there" in str(nobody)
    assert not nobody.permanent


@pytest.mark.parametrize(("status", "permanent"), [(301, True), (302, False), (303, False), (307, False), (308, True)])
def test_a_redirect_is_told_and_never_followed(status: int, permanent: bool) -> None:  # noqa: FBT001 - a parameter
    """Nothing of ours goes where a product points to, inside or outside; its address is said without its query."""
    with product(saying(with_length(b"[]"))) as inside:
        there = f"http://somebody:{TOKEN}@localhost:{inside.port}/metadata?token={TOKEN}"
        head = f"HTTP/1.1 {status} Go\r\nLocation: {there}\r\n".encode()
        with product(saying(with_length(b"", head))) as bad:
            error = error_of(lambda: ask(bad.url))
        assert inside.visits == 0
    assert f"a redirect to http://localhost:{inside.port}/metadata;" in str(error)
    assert (error.permanent, error.setting) == (permanent, "url")


def test_a_client_speaks_to_its_own_origin_alone() -> None:
    """An address that a product's answer names is asked for nothing: it would get the token."""
    with (
        product(saying(with_length(b"[]"))) as other,
        guarded_client(url="http://localhost:9", timeout=PATIENCE) as ours,
    ):
        error = error_of(lambda: ours.get(other.url))
        assert other.visits == 0
    assert error.permanent
    assert "nothing was sent" in str(error)


def test_a_wrong_name_and_an_unknown_signer_are_settings_to_mend(tmp_path) -> None:
    """TLS is verified: the certificate's name against the address, its signer against those that are trusted."""
    (right, pem), (wrong, other) = certificate(tmp_path, "localhost"), certificate(tmp_path, "elsewhere.example")
    with product(saying(with_length(b"[]")), context=right) as good:
        assert ask(good.url, ca_pem=pem) == []
        by_nobody = error_of(lambda: ask(good.url))
        by_another = error_of(lambda: ask(good.url, ca_pem=other))
    with product(saying(with_length(b"[]")), context=wrong) as bad:
        by_name = error_of(lambda: ask(bad.url, ca_pem=other))
    assert [(one.permanent, one.setting) for one in (by_nobody, by_another)] == [(True, "ca_file")] * 2
    assert "certificate is not trusted: self-signed certificate" in str(by_nobody)
    assert (by_name.permanent, by_name.setting) == (True, "url")
    assert "certificate is for another name" in str(by_name)


def test_a_product_that_does_not_speak_tls_is_told_apart(tmp_path) -> None:
    """Plain HTTP where TLS is expected, and a handshake that never ends."""
    _context, pem = certificate(tmp_path, "localhost")
    for script, words in (
        (saying(b"HTTP/1.1 400 Bad\r\n\r\n", closes=True), "no TLS connection"),
        (hanging, "no whole answer within"),
    ):
        with product(script) as plain:
            error = error_of(partial(ask, plain.url.replace("http://", "https://"), ca_pem=pem))
        assert words in str(error)


def test_a_good_product_is_asked_several_times_in_one_deadline_and_leaves_no_cookie() -> None:
    """One connection serves all; cookies are forgotten; compressed answers are read all the same; the sum counts."""
    cookie = OK + b"Set-Cookie: a=b\r\nContent-Encoding: deflate\r\n"
    with (
        product(saying(with_length(zlib.compress(b'{"a": 1}'), cookie))) as good,
        guarded_client(url=good.url, timeout=PATIENCE) as client,
    ):
        assert [json_of(client.get("/Users")) for _ in range(3)] == [{"a": 1}] * 3
        assert list(client.cookies.jar) == []
        assert good.visits == 1
        every = error_of(lambda: [client.get("/Users") for _ in iter(int, 1)])
    assert "no whole answer within" in str(every)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/",
        "http://product.example/",
        "http://169.254.169.254/latest",
        "http://localhost.example/",
        "https://",
        "https://who:what@product.example/",
        "https://product.example:port/",
        "//product.example/",
        "https://pro duct.example/\x00",
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused(url: str) -> None:
    """Only https, plain http on this machine alone, and no name or password in the address."""
    with pytest.raises(ValueError, match=re.compile("web address|https")) as raised:
        usable_url(url)
    assert "what" not in str(raised.value)
    error = error_of(lambda: ask(url))
    assert (error.permanent, error.setting) == (True, "url")


def test_a_name_that_resolves_never_or_elsewhere_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's look-up knows no time-out, so it is left behind; a local name that leads away gets nothing."""
    over = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_args, **_more: over.wait(20) and [])
        assert "no whole answer within 0.6 s" in str(error_of(lambda: ask("https://product.example")))
        over.set()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)
        error = error_of(lambda: ask("http://product.localhost"))
    assert "this name leads elsewhere; nothing was sent" in str(error)
    assert (error.permanent, error.setting) == (True, "url")


def test_what_cannot_be_sent_or_trusted_is_a_setting_to_mend() -> None:
    """A token that no header can carry, and certificates that are none, are errors in words and not tracebacks."""
    for token in ("schlüssel", "a\nb"):
        with product(saying(with_length(b"[]"))) as good:
            error = error_of(partial(ask, good.url, token=token))
        assert error.permanent
        assert token not in str(error)
    for pem in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match="no certificates in PEM"):
            usable_ca(pem)
        assert error_of(partial(ask, "https://localhost:9", ca_pem=pem)).setting == "ca_file"
