"""Readings on standard output, one JSON object a line, for a program behind a pipe.

Whoever reads may be slow: the writing is done in a thread, which writes no more at once than a
pipe takes without making it wait, and only when there is room. So the loop never waits, the thread
can always be ended, and what is held is a batch. Of a batch that takes long, what was written until
then counts as delivered. A reader that takes nothing for so long, or is gone, is trouble. A line
that was begun is finished first when there is room again, so that only whole lines are ever read;
its reading comes once more.
"""

import asyncio
import json
import os
import select
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from inverterproto_cli.sinks import daemon_thread
from inverterproto_cli.sinks.sink import Entry, Setting, SinkType, Surroundings, TroubleError

PATIENCE = 30.0
"""So many seconds a batch may take."""
_LOOK = 0.1
"""Seconds between looks whether the program ends."""
_AT_ONCE = select.PIPE_BUF
"""Bytes that a pipe with room takes whole: poll says that there is room for so many."""


class Stdout:
    """Writes to standard output, or to what stands in its place.

    Args:
        descriptor: of the open file.
        patience: so many seconds a batch may take.
    """

    def __init__(self, descriptor: int, patience: float = PATIENCE) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self._rest = b""  # of a line that was begun
        self._ending = False
        self._work: asyncio.Future[int] | None = None

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Write a line for each entry."""
        lines = [json.dumps(entry.to_json()).encode() + b"\n" for entry in entries]
        return await self._in_thread(lines)

    async def test(self, entry: Entry) -> str:
        """Write a line that says that it is a test."""
        line = json.dumps({"test": True, **entry.to_json()}).encode() + b"\n"
        await self._in_thread([line])
        return 'a line with "test": true on standard output'

    async def close(self) -> None:
        """Wait until the thread is through, which is soon, or else leave it behind."""
        self._ending = True
        if self._work is not None:
            await daemon_thread.ended(self._work)

    async def _in_thread(self, lines: list[bytes]) -> int:
        """Write lines; return how many of them are written whole, one at least."""
        if self._work is not None and not self._work.done():
            await asyncio.wait([self._work])  # of somebody who was cancelled
        self._work = daemon_thread.begin(partial(self._write, lines))
        # Who is cancelled leaves the thread at work: `close` waits for it.
        return await asyncio.shield(self._work)

    def _write(self, lines: list[bytes]) -> int:
        pieces = [self._rest, *lines]
        written, trouble = self._push(memoryview(b"".join(pieces)))
        whole = -1  # what was begun before is none of these lines
        for piece in pieces:
            if written < len(piece):
                break
            written -= len(piece)
            whole += 1
        else:
            piece = b""
        self._rest = piece[written:] if written or whole < 0 else b""
        if whole < 1:
            raise TroubleError(f"standard output: {trouble}")
        return whole

    def _push(self, data: memoryview) -> tuple[int, str]:
        """Write as much as is taken; return how many bytes that is, and why not all."""
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        written, begin = 0, monotonic()
        while written < len(data):
            if self._ending:
                return written, "the program ends"
            if monotonic() - begin > self._patience:
                return written, f"nobody has read a line for {self._patience:.0f} s"
            if not room.poll(_LOOK * 1000):
                continue
            try:
                written += os.write(self._descriptor, data[written : written + _AT_ONCE])
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return written, "nobody reads it any more"
            except OSError as error:
                return written, error.strerror or str(error)
        return written, ""


def _open(_values: Mapping[str, Any], _surroundings: Surroundings) -> Stdout:
    sys.stdout.flush()
    return Stdout(sys.stdout.fileno())


STDOUT = SinkType(
    name="stdout",
    title="Standard output",
    settings=(
        Setting(
            "stdout",
            "Write each reading as a JSON object on a line of standard output.",
            kind=bool,
            default=False,
            flag="--stdout",
        ),
    ),
    open=_open,
)
"""Readings as JSON lines on standard output."""
