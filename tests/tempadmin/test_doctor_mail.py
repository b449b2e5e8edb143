"""The doctor tries where mail goes: a folder, or a real SMTP server as far as the mail itself."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from tests.diagnosis import Diagnosis, diagnose
from tests.world import World

pytestmark = pytest.mark.only_sqlite


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def server(port: int) -> Iterator[Controller]:
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()


def of(world: World, url: str) -> Diagnosis:
    return diagnose(world, TEMPADMIN_MAIL_URL=url)


@pytest.mark.usefixtures("server")
def test_a_server_that_says_ehlo_is_well(world: World, port: int) -> None:
    """No mail is sent for that."""
    assert of(world, f"smtp://127.0.0.1:{port}").says("mail", "ok", f"smtp://127.0.0.1:{port} answers")


def test_a_server_that_is_down_is_named(world: World, port: int) -> None:
    """With its address."""
    assert of(world, f"smtp://127.0.0.1:{port}").says("mail", "error", f"127.0.0.1:{port}", "could not be reached")


def test_a_server_that_says_nothing_is_given_up_after_five_seconds(world: World) -> None:
    """It accepts the connection, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = of(world, f"smtp://127.0.0.1:{silent.getsockname()[1]}")
    assert found.says("mail", "error", "could not be reached")


@pytest.mark.usefixtures("server")
def test_a_password_is_not_sent_in_the_clear_nor_shown(world: World, port: int) -> None:
    """A server without STARTTLS is no place for one."""
    found = of(world, f"smtp://ada:pa55word@127.0.0.1:{port}")
    assert found.says("mail", "error", "STARTTLS")
    assert "pa55word" not in str(found)


@pytest.mark.usefixtures("server")
def test_a_server_that_speaks_no_tls_is_named(world: World, port: int) -> None:
    """Where smtps is set."""
    assert of(world, f"smtps://127.0.0.1:{port}").says("mail", "error", ssl.SSLError.__name__)


def test_the_folder_of_mails_must_take_files(world: World, tmp_path: Path) -> None:
    """A file in its place is named; a folder that is not there yet is made later."""
    (tmp_path / "taken").write_text("a file")
    assert of(world, f"file:{tmp_path}/taken").says("mail", "error", "taken")
    assert of(world, f"file:{tmp_path}/new/one").says("mail", "ok", "will be made")
    assert not (tmp_path / "new").exists()
    for url in ("none", "console:"):
        assert of(world, url).found["mail"][0][0] == "ok"
