"""`make chaos`: people at work on two servers and two schedulers, while those are killed, stopped and cut off.

``python -m tests.chaos.run --seconds 60 --seed 7`` plays a seed again: the same is tried, and the same is broken. What
happened stays in ``artefacts/chaos/<seed>``: the history, each process's log, and what was printed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tempadmin.settings import DEFAULT_MODULES, Settings
from tests import postgresql
from tests.bench.server import free_port
from tests.chaos import beats, plans
from tests.chaos.browser import Web
from tests.chaos.clients import Client
from tests.chaos.deeds import Board
from tests.chaos.explained import Limits
from tests.chaos.final import Watch
from tests.chaos.history import Recorder, read
from tests.chaos.judge import Seen, judge
from tests.chaos.nemesis import Nemesis
from tests.chaos.people import Mailbox, People
from tests.chaos.printed import report
from tests.chaos.processes import Service, Services, command
from tests.chaos.proxy import Network
from tests.chaos.verdicts import Broken, Verdict
from tests.tickets import elsewhere
from tests.tickets.servers import wait_for

ROOT = Path(__file__).parents[2]
START_SECONDS, RECOVERY_SECONDS, SETTLE_SECONDS, CONTENT_SECONDS = 120, 120, 180, 90
CONTENT = (["audit", "verify"], ["doctor"], ["doctor", "--invariants"])
APPROVAL, TICKET, DURATION, IDLE = 15, 8, 12, 6
"""The limits, in seconds: short, so that all of them pass often."""


class Chaos:
    """One run, in a folder of its own."""

    def __init__(self, *, seconds: float, seed: str, folder: Path) -> None:
        self.seconds, self.seed, self.folder = seconds, seed, folder
        self.people, self.path = People(), folder / "history.jsonl"

    def run(self) -> Seen:
        """Break things, heal them, wait until all is over, and judge."""
        with ExitStack() as stack:
            cluster = stack.enter_context(postgresql.cluster())
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
            url = cluster.url(cluster.new_database())
            ports, address = [free_port(), free_port()], free_port()
            values = _values(data, address, url)
            self.people.settle(Settings(**{**values, "modules": DEFAULT_MODULES}))  # type: ignore[arg-type]
            network = Network(cluster.port, self.seed)
            stack.callback(network.close)
            recorder = Recorder(self.path)
            stack.callback(recorder.close)
            behind = {**values, "database_url": url.replace(f":{cluster.port}/", f":{network.port}/")}
            services = self._services(_environment(behind), ports)
            watch = Watch(url, data / elsewhere.FOLDER)
            stack.callback(watch.engine.dispose)
            with services.running():
                for port in ports:
                    wait_for(lambda port=port: _answers(port), START_SECONDS)  # type: ignore[misc]
                nemesis = Nemesis(
                    plans.troubles(self.seed, self.seconds),
                    services=services,
                    network=network,
                    cluster=cluster,
                    recorder=recorder,
                    leader=watch.leader,
                )
                mailbox = Mailbox(data / "mail")
                self._break(nemesis, watch, Web(ports, address, recorder), mailbox)
                works = [self._works_again(Web([port], address, recorder), mailbox, port) for port in ports]
                self._end_what_waits(watch, Web(ports, address, recorder), mailbox)
                if not settles(watch, SETTLE_SECONDS + 2 * self.seconds):
                    services.say_where_they_are()
                complaints = [said for words in CONTENT if (said := complains(words, _environment(values))) is not None]
            runs = (data / beats.FILE).read_text("utf-8").splitlines()
            final = watch.final(mails=mailbox.words(), runs=runs, complaints=complaints)
        history = read(self.path)
        verdicts = judge(history, final, Limits(approval=APPROVAL, idle=IDLE))
        verdicts.append(Verdict("it works again without a restart", len(works), [one for one in works if one]))
        return Seen(history, final, verdicts)

    def _services(self, environment: dict[str, str], ports: list[int]) -> Services:
        def service(name: str, *words: str) -> Service:
            return Service(name, list(words), environment, self.folder / f"{name}.log")

        servers = [service(f"server {number}", "serve", "--port", str(port)) for number, port in enumerate(ports)]
        return Services(servers, [service(f"scheduler {number}", "scheduler", "run") for number in range(2)])

    def _break(self, nemesis: Nemesis, watch: Watch, web: Web, mailbox: Mailbox) -> None:
        """Let everybody work and be disturbed for as long as was asked."""
        board = Board()
        clients = [
            Client(number, seed=self.seed, web=web, people=self.people, mailbox=mailbox, board=board)
            for number in range(plans.CLIENTS)
        ]
        begun = time.monotonic()
        with ThreadPoolExecutor(len(clients) + 2) as pool:
            watching = pool.submit(watch.run)
            troubling = pool.submit(nemesis.run, begun)
            working = [pool.submit(client.run) for client in clients]
            try:
                threading.Event().wait(self.seconds)
            finally:
                nemesis.stop()
                for client in clients:
                    client.stop()
            troubling.result()
            for one in working:
                one.result()
            watch.stop()
            watching.result()

    def _end_what_waits(self, watch: Watch, web: Web, mailbox: Mailbox) -> None:
        """Have somebody end what nobody started: approved requests wait for a day, and rightly so."""
        client = Client(plans.CLIENTS, seed=self.seed, web=web, people=self.people, mailbox=mailbox, board=Board())
        for row in watch.rows("SELECT public_id FROM access_requests WHERE state = 'approved'"):
            client.end_for_somebody(row["public_id"])

    def _works_again(self, web: Web, mailbox: Mailbox, port: int) -> Broken | None:
        """Walk the whole way on one server; say so if that does not come to work by itself."""
        client = Client(
            plans.CLIENTS, seed=f"{self.seed}/{port}", web=web, people=self.people, mailbox=mailbox, board=Board()
        )
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            if client.walk_once():
                return None
            threading.Event().wait(0.5)  # between two tries
        return Broken(f"the server on port {port} did not work again within {RECOVERY_SECONDS} s")


def settles(watch: Watch, within: float) -> bool:
    """Wait until nothing is on its way any more: what failed often is tried again after long pauses."""
    with suppress(AssertionError):
        wait_for(lambda: watch.unsettled() == 0, within)
        return True
    return False


def complains(words: list[str], environment: dict[str, str]) -> str | None:
    """Ask until the program is content: a job that failed while all was cut off says so until its next turn."""
    said: str | None = None

    def content() -> bool:
        nonlocal said
        said = command(words, environment)
        return said is None

    with suppress(AssertionError):
        wait_for(content, CONTENT_SECONDS)
    return None if said is None else f"{' '.join(words)}: {said}"


def _values(data: Path, address: int, url: str) -> dict[str, str]:
    return {
        "data": str(data),
        "database_url": url,
        "base_url": f"http://localhost:{address}",
        "secret_keys": "chaos-" * 8,
        "modules": ",".join([*DEFAULT_MODULES, "elsewhere", "beats"]),
        "scheduler": "external",
        "workers": "2",
        "rate_limits": "off",
        "cleanup_enabled": "true",
        "cleanup_schedule": "* * * * *",
        "cleanup_min_age": "30",
        "approval_ttl": str(APPROVAL),
        "ticket_ttl": str(TICKET),
        "default_duration": str(DURATION),
        "max_duration": str(DURATION),
        "idle_timeout": str(IDLE),
    }


def _environment(values: dict[str, str]) -> dict[str, str]:
    """The settings as variables; the two modules of ours are found on the path, as an operator's own would be."""
    folders = os.pathsep.join(str(Path(module.__file__ or "").parent) for module in (elsewhere, beats))
    variables = {f"TEMPADMIN_{name.upper()}": value for name, value in values.items()}
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), folders]), "PYTHONFAULTHANDLER": "1", **variables}


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def main() -> int:
    """Run once; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default="")
    options = parser.parse_args()
    seed = options.seed or secrets.token_hex(4)
    folder = ROOT / "artefacts" / "chaos" / seed
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sys.stdout.write(f"seed {seed}, {options.seconds:g} s\n")
    sys.stdout.flush()
    seen = Chaos(seconds=options.seconds, seed=seed, folder=folder).run()
    text = report(seen, seed=seed, seconds=options.seconds)
    (folder / "printed.txt").write_text(text, "utf-8")
    sys.stdout.write(text)
    return int(any(verdict.broken for verdict in seen.verdicts))


if __name__ == "__main__":
    sys.exit(main())
