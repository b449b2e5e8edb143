"""`make guards`: take each guard out in a scratch copy and see its test turn red.

``tests/guards*.toml`` list them: the file, the text that is replaced, what replaces it, and the test that must fail
(``file`` or ``file::test``, several with blanks between). A guard whose test stays green guards nothing; a text that
does not stand exactly once means that the list is out of date. Both fail.

``python -m tests.guards S12 "P4 a ticket"`` tries those whose names contain one of the words.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTS = sorted((ROOT / "tests").glob("guards*.toml"))
FOLDERS = ("tempadmin", "instances", "tickets", "scheduler", "templates", "tests", "examples")
COPIED = (*FOLDERS, "pyproject.toml", "README.md")
AT_ONCE = 2
SECONDS = 240
TESTS_FAILED = 1


@dataclass(frozen=True)
class Guard:
    """One entry of the list."""

    name: str
    file: str
    text: str
    without: str
    test: str
    databases: str = "sqlite"

    def times(self, root: Path) -> int:
        """How often the text stands in its file; once is right."""
        return (root / self.file).read_text("utf-8").count(self.text)


def read() -> list[Guard]:
    """Read the lists."""
    return [Guard(**entry) for one in LISTS for entry in tomllib.loads(one.read_text("utf-8"))["guard"]]


def problem_of(guard: Guard) -> str | None:
    """Try one guard; say what is wrong, or nothing."""
    with tempfile.TemporaryDirectory(prefix="guards-") as name:
        scratch = Path(name)
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, scratch / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, scratch / part)
        path = scratch / guard.file
        if (times := guard.times(scratch)) != 1:
            return f"its text stands {times} times in {guard.file}"
        path.write_text(path.read_text("utf-8").replace(guard.text, guard.without), "utf-8")
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--databases={guard.databases}"]
        command = [sys.executable, "-m", "pytest", *options, *guard.test.split()]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=SECONDS, check=False)
        last = (done.stdout.strip().splitlines() or ["nothing"])[-1]
        if done.returncode == TESTS_FAILED and " failed" in last:  # and not an error before the test began
            return None
        return f"{guard.test} did not fail (exit {done.returncode}: {last})"


def main(chosen: list[str]) -> int:
    """Try all guards, or those whose names contain one of the words."""
    guards = [one for one in read() if not chosen or any(word in one.name for word in chosen)]
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for guard, problem in zip(guards, pool.map(problem_of, guards), strict=True):
            sys.stdout.write(
                f"{'ok  ' if problem is None else 'FAIL'} {guard.name}{': ' + problem if problem else ''}\n"
            )
            sys.stdout.flush()
            failed += problem is not None
    sys.stdout.write(f"{len(guards) - failed} passed, {failed} failed\n")
    return 1 if failed or not guards else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
