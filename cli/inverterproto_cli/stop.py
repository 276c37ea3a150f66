"""Ctrl-C and SIGTERM, for programs that read until they are told to stop."""

from collections.abc import Callable
from signal import SIGINT, SIGTERM, signal


class Stop:
    """Ends the reading: whoever stops a live stream wants to see what came until then.

    It also ends a reading that waits; what has been read is decoded and shown in peace.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._reading = False

    def __enter__(self) -> None:
        self.wanted = False
        self._before = {number: signal(number, self._note) for number in (SIGINT, SIGTERM)}

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal(number, handler)

    def _note(self, _number: int, _frame: object) -> None:
        self.wanted = True
        if self._reading:
            raise KeyboardInterrupt

    def unless_stopped(self, take: Callable[[], bytes]) -> bytes:
        """Return what `take` reads, or nothing if that was stopped."""
        self._reading = True
        try:
            return b"" if self.wanted else take()
        except KeyboardInterrupt:
            return b""
        finally:
            self._reading = False


STOP = Stop()
