"""Following a guide: its blocks of commands, pasted one after the other into one shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDED = "== the shell has ended =="
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def blocks(guide: Path, instead: dict[str, str]) -> list[str]:
    """The commands of a guide; of its ports each stands for a free one of this machine."""
    return BLOCK.findall(_with_ports(guide, instead))


def sections(guide: Path, instead: dict[str, str]) -> dict[str, list[str]]:
    """The commands of a guide below each of its headings."""
    _, *parts = HEADING.split(_with_ports(guide, instead))
    return {heading: BLOCK.findall(text) for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def _with_ports(guide: Path, instead: dict[str, str]) -> str:
    text = guide.read_text("utf-8")
    for theirs, ours in instead.items():
        assert re.search(rf"\b{theirs}\b", text), theirs
        text = re.sub(rf"\b{theirs}\b", ours, text)
    return text


class Shell:
    """One shell, in a folder and a process group of its own, that stops at the first command that fails."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.said, self._pasted = folder, "", 0
        self._process = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail"],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        assert self._process.stdin is not None
        # What it started may outlive it and keep its output open: so it says itself that it ends.
        self._process.stdin.write(f"trap 'echo \"{ENDED}\"' EXIT\n")

    def paste(self, block: str) -> str:
        """Run a block to its end; return what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pasted += 1
        mark, said = f"== block {self._pasted} is done ==", ""
        self._process.stdin.write(f"{block}\necho '{mark}'\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.strip() == mark:
                self.said += said
                return said
            if line.strip() == ENDED:
                break
            said += line
        raise AssertionError(f"the block failed:\n{block}\nit said:\n{said}\n{self._logs()}")

    def close(self) -> None:
        """Leave the shell, and end whatever still runs of what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        for pid in self.folder.glob("*.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGTERM)
        self._process.communicate(timeout=60)

    def _logs(self) -> str:
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))
