"""A stream for people or programs that may be slow to read, and must not hold up the server.

Who stops a terminal with Ctrl-S, or pipes readings to a program that hangs, would otherwise stop
the answers to all devices. So a thread of its own writes what is put out here. What waits is
bounded: beyond that, lines are dropped and counted. A stream that takes no more (`| head`) is given
up, and what comes then is dropped in silence; the owner looks at `gone` and says so.

It writes to the file descriptor, past the stream's own buffer: a thread that hangs in that would
keep the process from ending.
"""

import os
from queue import SimpleQueue
from threading import Thread
from typing import TextIO

MOST_LINES = 10_000
"""Writes that wait."""
MOST_SIZE = 16 << 20
"""Characters that wait."""
_AT_ONCE = 500


class Outlet:
    """Writes to a stream in a thread of its own.

    Args:
        stream: a stream with a file descriptor.
        most: writes that wait at most.

    Attributes:
        dropped: writes that were dropped because too many waited.
        gone: why the stream takes no more, or None.
    """

    def __init__(self, stream: TextIO, most: int = MOST_LINES) -> None:
        stream.flush()
        self.dropped = 0
        self.gone: str | None = None
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._most = most
        self._put = self._done = 0  # characters; each thread counts on its own
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="outlet", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Put text out, as soon as the stream takes it."""
        if self.gone is not None:
            return
        waiting = self._put - self._done
        if self._waiting.qsize() >= self._most or waiting + len(text) > MOST_SIZE:
            self.dropped += 1
            return
        self._put += len(text)
        self._waiting.put(text)

    def flush(self) -> None:
        """Do nothing: what can be written is written at once."""

    def close(self, patience: float = 2.0) -> bool:
        """Wait until all is written, though not for ever; return whether the thread has ended."""
        self._waiting.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (text := self._waiting.get()) is not None:
            texts, ended = [text], False
            while not (ended or self._waiting.empty()) and len(texts) < _AT_ONCE:
                more = self._waiting.get()
                ended = more is None
                texts += [] if more is None else [more]
            text = "".join(texts)
            self._write(text.encode(self._encoding, "backslashreplace"))
            self._done += len(text)
            if ended:
                return

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self.gone is None:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                self.gone = error.strerror or str(error)
