"""Dating for many loggers at once: one `LoggerDating` each, a bounded number of them."""

from typing import TYPE_CHECKING

from inverterproto.deye.dating import LoggerDating
from inverterproto.reading import Dated, Record, TimeSource

if TYPE_CHECKING:
    from inverterproto.deye.messages import Message

MOST_LOGGERS = 1024
"""Loggers whose offsets are remembered; of more, the records keep what they say themselves."""


class Dating:
    """Dates the records of all loggers (see `inverterproto.families.Dating`).

    Args:
        clock_offset: not used: a logger tells UTC.
        now: unix time in seconds, where it is known: no stamp after it is plausible.
    """

    def __init__(self, clock_offset: float | None = None, now: float | None = None) -> None:
        del clock_offset
        self._now = now
        self._loggers: dict[str, LoggerDating] = {}

    def see(
        self,
        message: "Message",
        keys: list[object],
        records: list[Record],
        arrival: float | None,
    ) -> list[Dated]:
        """Take in a message; every stamp teaches, and the records want their dates."""
        stamp = message.stamp
        if stamp is None:
            return [Dated(key, arrival, _source(arrival)) for key in keys]
        logger = self._logger(message.device)
        if not records:
            dates = logger.see(None, stamp, record=False, historic=False, arrival=arrival)
        else:
            dates = [
                date
                for key, record in zip(keys, records, strict=True)
                for date in logger.see(key, stamp, historic=record.historic, arrival=arrival)
            ]
        if logger is not self._loggers.get(message.device):
            dates += logger.finish()
        return dates

    def _logger(self, device: str) -> LoggerDating:
        """Return the dating of a logger; beyond the bound one that is forgotten at once."""
        logger = self._loggers.get(device)
        if logger is None:
            logger = LoggerDating(now=self._now)
            if len(self._loggers) < MOST_LOGGERS:
                self._loggers[device] = logger
        return logger

    def settle(self, now: float) -> list[Dated]:
        """Return what is dated because its waiting is over."""
        return [date for logger in self._loggers.values() for date in logger.settle(now)]

    def finish(self) -> list[Dated]:
        """Date all that waits as well as can be."""
        return [date for logger in self._loggers.values() for date in logger.finish()]


def _source(arrival: float | None) -> TimeSource:
    return TimeSource.UNKNOWN if arrival is None else TimeSource.ARRIVAL
