"""A network between the service and its database that can be cut: a TCP proxy in a process of its own.

It is told what to do by lines on its standard input, JSON objects with ``do``, and answers each with how many
connections that met. ``python -m tests.chaos.proxy LISTEN TARGET SEED``.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of nothing: closing sends RST instead of FIN."""


class Proxy:
    """What the process holds: its connections, and what becomes of them at present."""

    def __init__(self, target: int, seed: str) -> None:
        self._target, self._random = target, random.Random(seed)
        self._links: set[Link] = set()
        self.delay, self.lose, self._hole = 0.0, 0.0, 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side closes it, or we do."""
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        link = Link(self, (reader, writer), server)
        if self._hits(self._hole):
            link.flows.clear()
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.reset()

    def told(self, order: dict[str, Any]) -> int:
        """Do what the nemesis wants; return how many connections were met."""
        do, share = order["do"], float(order.get("share", 1))
        chosen = [link for link in sorted(self._links, key=lambda one: one.number) if self._hits(share)]
        if do == "cut":
            for link in chosen:
                link.reset()
        elif do == "hole":  # also for those that come while it is there
            self._hole = share
            for link in chosen:
                link.flows.clear()
        elif do == "delay":
            self.delay = float(order["seconds"])
        elif do == "lose":
            self.lose = share
        elif do == "heal":
            return self._heal()
        return len(chosen)

    def loses_this(self, sent: bytes) -> bool:
        """Tell whether the connection is to die at this commit."""
        return self.lose > 0 and b"COMMIT" in sent and self._hits(self.lose)

    def half(self) -> bool:
        """Toss a coin."""
        return self._hits(0.5)

    def _heal(self) -> int:
        """Every second of the connections that stood still goes on; the others are found to be dead."""
        self.delay = self.lose = self._hole = 0.0
        still = [link for link in self._links if not link.flows.is_set()]
        for link in still:
            if self.half():
                link.reset()
            link.flows.set()
        return len(still)

    def _hits(self, share: float) -> bool:
        return self._random.random() < share


class Link:
    """One connection, in both directions."""

    last = 0

    def __init__(self, proxy: Proxy, client: Any, server: Any) -> None:
        Link.last += 1
        self.number, self._proxy, self._client, self._server = Link.last, proxy, client, server
        self.flows = asyncio.Event()
        self.flows.set()
        self._answer_is_lost = False

    async def run(self) -> None:
        there = asyncio.create_task(self._carry(self._client[0], self._server[1], is_request=True))
        back = asyncio.create_task(self._carry(self._server[0], self._client[1], is_request=False))
        _, waiting = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.wait({there, back})

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_request: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.flows.wait()
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                if is_request and self._proxy.loses_this(data):
                    if self._proxy.half():
                        return  # it never arrives
                    self._answer_is_lost = True  # it does, and nobody hears of it
                if not is_request and self._answer_is_lost:
                    return
                writer.write(data)
                await writer.drain()

    def reset(self) -> None:
        for _, writer in (self._client, self._server):
            _reset(writer)


class Network:
    """The proxy's process, as the nemesis sees it."""

    def __init__(self, target: int, seed: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "tests.chaos.proxy", str(self.port), str(target), seed]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        self._answer()  # it listens

    def tell(self, do: str, **facts: float) -> int:
        """Order something; return how many connections it met."""
        with self._lock:
            print(json.dumps({"do": do, **facts}), file=self._process.stdin, flush=True)
            return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def _answer(self) -> int:
        return int(self._process.stdout.readline()) if self._process.stdout else 0


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def main(listen: int, target: int, seed: str) -> None:
    """Listen, and do as told until standard input ends."""
    proxy = Proxy(target, seed)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", listen)
    async with server:
        _say(0)
        while line := await asyncio.to_thread(sys.stdin.readline):
            _say(proxy.told(json.loads(line)))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
