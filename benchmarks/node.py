"""Node beside us: `parse.js` in a process of its own, asked for its times line by line."""

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.measure import Timer

_WARM_UP = 60_000
"""Parses after which the compiler has done all that it will do."""


def find() -> str | None:
    """Return where Node is, if it is there."""
    return shutil.which("node") or shutil.which("nodejs")


class Node:
    """A Node process that takes frames apart.

    Args:
        command: where Node is.
        script: the name of the script in this folder.
    """

    def __init__(self, command: str, script: str = "parse.js") -> None:
        self._process = subprocess.Popen(
            [command, str(Path(__file__).with_name(script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=10)

    def ask(self, line: str) -> Any:  # noqa: ANN401 - JSON
        """Send a line, return what the answer says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Node ended at: {line[:40]}")
        return json.loads(answer)

    def timer(self, raw: bytes) -> Timer:
        """Return what times the parsing of a frame, once warmed up."""
        text = raw.hex()
        self.ask(f"time {text} {_WARM_UP}")
        return lambda count: float(self.ask(f"time {text} {count}")) / 1e9
