"""Programs of ours as processes of their own, for tests of what only a process has: signals, ends.

`Program` starts `inverterproto ARGUMENTS…`, reads what it writes in threads, and waits for lines,
never for seconds; each wait is bounded, and the process is ended with the `with` statement.
"""

import re
import subprocess
import sys
import threading
from pathlib import Path
from signal import SIGTERM, Signals
from types import TracebackType
from typing import IO, Self

PATIENCE = 60.0
"""Seconds after which what has not come will not come."""
_MAIN = "from inverterproto_cli.main import main; main()"
_ADDRESS = re.compile(r'listening on ([^"]*)')


class Program:
    """An `inverterproto` process.

    Attributes:
        out: the lines on standard output, so far.
        err: the lines on standard error, so far.
    """

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _MAIN, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self.out), (self._process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def line(self, pattern: str, *, of: str = "err", count: int = 1) -> str:
        """Wait for a line of standard error (or `of="out"`) that matches; return it.

        Args:
            pattern: a regular expression, searched for in each line.
            of: which stream.
            count: wait for the so-manieth that matches.

        Raises:
            AssertionError: it did not come.
        """
        lines = self.out if of == "out" else self.err

        def found() -> list[str]:
            return [line for line in lines if re.search(pattern, line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._over(), PATIENCE)
            matching = found()
            shown = "\n".join(self.err[-20:])
            assert len(matching) >= count, f"no line {pattern!r} came; standard error:\n{shown}"
            return matching[count - 1]

    def _over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def ports(self) -> list[int]:
        """Wait until a server listens; return its ports, in the order in which it tells them."""
        found = _ADDRESS.search(self.line(r"listening on "))
        assert found is not None
        return [int(address.rpartition(":")[2]) for address in found[1].split(", ")]

    def signal(self, number: Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def stop(self, number: Signals = SIGTERM) -> int:
        """Send a signal that ends it; return the exit code."""
        self.signal(number)
        return self.end()


def fake_server(*options: str | Path) -> Program:
    """Start a fake server at a free port of loopback."""
    return Program("fake-server", "--listen", "127.0.0.1:0", *options)
