"""The cloud's side of a connection, as our servers take it: sessions with their options.

The reply of a V5 session sets the logger's clock, so none is given while the host's own clock is
known to be behind. A battery is told no time then, and asked for nothing. When that changes, all
sessions begin anew (see `keeper.py`).
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Any

from inverterproto.alphaess.session import CloudSession as BatteryCloud
from inverterproto.deye.session import CloudSession as LoggerCloud
from inverterproto.session import MOST_UNFRAMED, CloudSession
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.zone import utc_offset


def opener(
    keeper: Keeper,
    *,
    heartbeat: int = 60,
    resume: bool = True,
    synchronise: bool = False,
    zone: tzinfo | None = None,
    configurations: Mapping[str, bytes] | None = None,
    most_unframed: int = MOST_UNFRAMED,
) -> Callable[[str], CloudSession]:
    """Return what makes the session of a family for a connection.

    Args:
        keeper: knows the devices, and whether the clock is right.
        heartbeat: seconds until a logger's next heartbeat.
        resume: whether batteries are asked for missing records.
        synchronise: whether batteries whose clock is wrong are told to set it.
        zone: the household's time zone; None for this machine's.
        configurations: what the user gave for batteries, by serial.
        most_unframed: bytes without a frame that end a connection.
    """
    given = configurations or {}

    def battery(serial: str) -> Any:  # noqa: ANN401 - a BatteryState or None
        state = keeper.state("alphaess", serial)
        if state is not None and serial in given:
            state.trust(given[serial], serial)
        return state

    def local_time(now: float) -> float | None:
        return now + utc_offset(now, zone) if keeper.clock_right else None

    def open_session(family: str) -> CloudSession:
        if family == "deye":
            logger = LoggerCloud(
                partial(keeper.state, family),
                next_heartbeat=heartbeat,
                most_unframed=most_unframed,
            )
            logger.answering = keeper.clock_right
            return logger
        return BatteryCloud(
            battery,
            local_time=local_time,
            resume=resume and keeper.clock_right,
            synchronise=synchronise,
            most_unframed=most_unframed,
            nameless=not keeper.only,
        )

    return open_session
