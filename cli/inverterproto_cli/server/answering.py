"""The cloud's side of a connection, as our servers take it: sessions with their options.

The reply of a V5 session sets the logger's clock, so none is given while the host's own clock is
known to be behind. A battery is told no time then, and asked for nothing. When that changes, all
sessions begin anew (see `keeper.py`).
"""

from collections.abc import Mapping
from datetime import tzinfo
from functools import partial
from time import time
from typing import Any

from inverterproto.alphaess.session import CloudSession as BatteryCloud
from inverterproto.deye.session import CloudSession as LoggerCloud
from inverterproto.families import FAMILIES
from inverterproto.gate import AllowList, Rights
from inverterproto.session import MOST_UNFRAMED, CloudSession, States
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.zone import utc_offset


class Answers:
    """Makes the cloud's side of connections.

    Args:
        keeper: knows the devices, and whether the clock is right.
        heartbeat: seconds until a logger's next heartbeat.
        resume: whether batteries are asked for missing records.
        synchronise: whether batteries whose clock is wrong are told to set it.
        zone: the household's time zone; None for this machine's.
        configurations: what the user gave for batteries, by serial.
        most_unframed: bytes without a frame that end a connection.
        approving_seconds: for so long from now settings that the cloud sends are approved.
    """

    def __init__(
        self,
        keeper: Keeper,
        *,
        heartbeat: int = 60,
        resume: bool = True,
        synchronise: bool = False,
        zone: tzinfo | None = None,
        configurations: Mapping[str, bytes] | None = None,
        most_unframed: int = MOST_UNFRAMED,
        approving_seconds: float = 0.0,
    ) -> None:
        self._keeper = keeper
        self._approving_until = time() + approving_seconds if approving_seconds else 0.0
        self._heartbeat = heartbeat
        self._resume = resume
        self._synchronise = synchronise
        self._zone = zone
        self._given = configurations or {}
        self._gave: dict[str, Any] = {}  # the states that know what was given
        self._most_unframed = most_unframed

    def states(self, family: str) -> States:
        """Return what gives the states of a family's devices."""
        return self._battery if family == "alphaess" else partial(self._keeper.state, family)

    def _battery(self, serial: str) -> Any:  # noqa: ANN401 - a BatteryState or None
        state = self._keeper.state("alphaess", serial)
        if state is None:
            return None
        if serial in self._given and self._gave.get(serial) is not state:
            # Once: what is approved or held later counts more.
            self._gave[serial] = state
            state.trust(self._given[serial], serial)
        if self._approving_until > state.approving_until:
            state.approve_for(self._approving_until)
        return state

    def local_time(self, now: float) -> float | None:
        """Return what a clock in the household shows; None while the host's is known to be wrong.

        Args:
            now: unix time in seconds.
        """
        return now + utc_offset(now, self._zone) if self._keeper.clock_right else None

    def open(self, family: str) -> CloudSession:
        """Return the session of a family for a connection."""
        if family == "deye":
            logger = LoggerCloud(
                self.states(family),
                next_heartbeat=self._heartbeat,
                most_unframed=self._most_unframed,
            )
            logger.answering = self._keeper.clock_right
            return logger
        return BatteryCloud(
            self.states(family),
            local_time=self.local_time,
            resume=self._resume and self._keeper.clock_right,
            synchronise=self._synchronise,
            most_unframed=self._most_unframed,
            nameless=not self._keeper.only,
        )

    def allow_lists(self, rights: Rights) -> list[AllowList]:
        """Return what judges the cloud's frames on a connection, of each family."""
        return [
            FAMILIES["deye"].allow_list(rights, self.states("deye")),
            FAMILIES["alphaess"].allow_list(
                rights, self.states("alphaess"), local_time=self.local_time
            ),
        ]
