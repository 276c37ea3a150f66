"""Answers devices in the place of a cloud that is away, until it is back.

A `StandIn` lets its device go at a quiet moment (no frame begun, nothing to be answered) once the
cloud is back, so that the next connection passes through.
"""

import logging
from typing import TYPE_CHECKING

from inverterproto_cli.server.connection import DeviceConnection

if TYPE_CHECKING:
    from inverterproto_cli.relay.cloud import Cloud
    from inverterproto_cli.relay.relaying import Relay

_QUIET = 2.0
"""Seconds without a byte after which the moment is quiet."""


class StandIn(DeviceConnection):
    """Answers a device in the place of its cloud, until that is back."""

    __slots__ = ("_cloud", "_copy")

    def __init__(self, listener: "Relay", cloud: "Cloud") -> None:
        super().__init__(listener)
        self._cloud = cloud
        self._copy = listener.copy()

    def begin_with(self, chunk: bytes, *, ended: bool) -> None:
        """Take what was read before."""
        view = self._listener.view
        for begin in range(0, len(chunk), len(view)):
            piece = chunk[begin : begin + len(view)]
            view[: len(piece)] = piece
            self.buffer_updated(len(piece))
        if ended:
            self.eof_received()

    def _feed(self, view: memoryview) -> None:
        if self._copy is not None:
            self._copy.write(bytes(view))
        super()._feed(view)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._copy is not None:
            self._copy.close()
        super().connection_lost(exc)

    def _look(self, now: float, ticks: float) -> None:
        super()._look(now, ticks)
        if self._cloud.away is None and self.is_quiet(ticks, _QUIET):
            self.end("cloud back", "the cloud is back: let go, to reach it", logging.DEBUG)
