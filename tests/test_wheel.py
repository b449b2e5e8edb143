"""The wheel is complete: installed into a new environment, it serves the demo from an empty folder."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tempadmin", "instances", "tickets", "scheduler")
T = TypeVar("T")
START = 60  # seconds that a slow machine may take to make the demo's world
STOP = 30  # seconds from SIGTERM to the end


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end; its output, or a failed test that shows it."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build with the pinned backend of this environment, so nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of a new environment that holds the wheel.

    Third-party packages come from the environment of the tests, which has the same pins; the wheel stands
    before it on the path, and `test_the_code_comes_from_the_wheel` makes sure of that.
    """
    folder = tmp_path_factory.mktemp("new") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=folder.parent)
    scheme = {"base": str(folder), "platbase": str(folder)}
    pins = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(sysconfig.get_path("purelib", "venv", vars=scheme), "pins.pth").write_text("\n".join(sorted(pins)))
    return folder / "bin"


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the tests' own environment that could lend the program settings or code."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def test_the_wheel_holds_templates_static_files_and_migrations(wheel: Path) -> None:
    """Every file of the packages and templates in the source tree is in the wheel, and no test is."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    expected |= {
        f"tempadmin/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "templates").rglob("*") if path.is_file()
    }
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert expected - inside == set()
    assert any(name.startswith("tempadmin/templates/mail/") for name in inside)
    assert "tempadmin/static/tempadmin.css" in inside
    assert any(re.match(r"tempadmin/migrations/versions/.+\.py", name) for name in inside)
    tops = {name.split("/")[0] for name in inside}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_code_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """In the new environment all four packages are the wheel's, so the demo's test proves the wheel."""
    code = "import importlib, sys; print([importlib.import_module(name).__file__ for name in sys.argv[1:]])"
    found = run(installed / "python", "-c", code, *PACKAGES, cwd=tmp_path, env=bare_environment(tmp_path))
    assert found.count(str(installed.parent)) == len(PACKAGES)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(url: str) -> int | None:
    """Ask the loopback address for this URL under its own host name; None while nobody listens."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path, headers={"Host": parts.netloc})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


class Demo:
    """A running `tempadmin demo` and what it writes."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        self.output, self.log = folder / "output", folder / "log"
        empty = folder / "empty"
        empty.mkdir()
        with self.output.open("wb") as output, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, "demo", "--port", str(self.port), "--json"],
                cwd=empty,
                env=bare_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        """The condition's first true value; the test fails when the demo ends or the time is up."""
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            if value := condition():
                return value
            try:
                self.process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        pytest.fail(f"{what}: not seen; exit status {self.process.poll()}\n{self.log.read_text()[-4000:]}")

    def first_line(self) -> str | None:
        """The first line of the output once it is whole."""
        line, end, _ = self.output.read_text().partition("\n")
        return line if end else None

    def stop(self) -> int:
        """Ask it to end and wait; killed, and the test failed, when it does not."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"still running {STOP} s after SIGTERM\n{self.log.read_text()[-4000:]}")


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[Demo]:
    running = Demo(installed / "tempadmin", tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.mark.timeout(3 * START)
def test_the_installed_demo_serves_from_an_empty_folder(demo: Demo) -> None:
    """`tempadmin demo --json` from the wheel says where its world is, serves it, and ends when asked to."""
    world: dict[str, Any] = json.loads(demo.wait_for(demo.first_line, "the line of JSON"))
    assert {"console", "mail_dir", "omniadmins", "instances"} <= world.keys()
    assert urlsplit(world["console"]).port == demo.port
    assert world["omniadmins"]
    console = world["console"].rstrip("/")
    demo.wait_for(lambda: status(f"{console}/healthz") == 200, "an answer to /healthz")
    assert status(f"{console}/login") == 200
    for instance in world["instances"]:
        assert status(f"{instance['url'].rstrip('/')}/login") == 200
    demo.stop()
    assert status(f"{console}/healthz") is None
    assert demo.log.read_text() == ""  # a person reads this terminal
