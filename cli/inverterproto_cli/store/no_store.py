"""What takes the store's place where nothing is to be kept."""

from collections.abc import Callable
from typing import Any

from inverterproto.reading import Dated
from inverterproto.session import Record


class NoStore:
    """What takes the store's place with `--no-store`: nothing is kept, nobody waits."""

    lasting = False
    trouble = None
    full = False
    newest = 0.0
    pending = 0

    def keep(self, record: Record, arrival: float, answered: str | None = None) -> bool:
        """Keep nothing."""
        del record, arrival, answered
        return True

    def date(self, dated: Dated) -> None:
        """Keep nothing."""

    def remember(self, family: str, serial: str, state: dict[str, Any], now: float) -> None:
        """Keep nothing."""

    def when_safe(self, callback: Callable[[], object], held: int = 0) -> None:
        """Call back at once: nothing is to wait for."""
        del held
        callback()

    def open(self) -> None:
        """Open nothing."""

    async def close(self) -> None:
        """Close nothing."""
