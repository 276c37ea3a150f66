"""Programs that the trial starts, and stops again whatever happens.

Each runs in a process group of its own, so that Ctrl-C at the terminal reaches only the trial,
which then stops them in its own order. What they say goes to a file each, over all their lives.
"""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a program that does not come or go will not."""
_EVERY = 0.1


class ProgramError(Exception):
    """A program does not come up, or does not end: the trial cannot go on."""


def free_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def listens(port: int) -> bool:
    """Return whether somebody listens at a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


class Program:
    """A program that can be started, stopped and started again.

    Args:
        name: for people.
        command: and its arguments.
        log: what it says is added to this file.
        environment: instead of this process's own.

    Attributes:
        log: the file.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._name = name
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, port: int | None = None) -> None:
        """Start it, and wait until it listens at a port, if it is to.

        Raises:
            ProgramError: it ends, or never listens.
        """
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment, start_new_session=True,
            )  # fmt: skip
        if port is None:
            return
        async with asyncio.timeout(PATIENCE):
            while self.runs and not await listens(port):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(_EVERY)
        if not self.runs:
            raise ProgramError(f"{self._name} has ended at once: see {self.log}")

    async def end(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        return 0 if self._process is None else await self._process.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code.

        Raises:
            ProgramError: it does not end.
        """
        process = self._process
        if process is None:
            return 0
        self.tell(number)
        try:
            async with asyncio.timeout(PATIENCE):
                return await process.wait()
        except TimeoutError:
            raise ProgramError(f"{self._name} does not end") from None

    async def abandon(self) -> None:
        """Kill it, with all that it may have started."""
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._process = None
