"""Which entities each device has, and to which kind of message each listens.

A quantity may come in several kinds of message: a battery tells its state of charge in a status,
every ten seconds, and in a record, every five minutes. Its one entity listens to the kind that
comes most often of those that have shown it (`RANK`), and never goes back to a rarer one.
"""

from collections.abc import Callable, Collection, Iterator

from inverterproto.reading import Reading
from inverterproto_cli.sinks.discovery import (
    LAST_SEEN,
    Config,
    Wishes,
    last_seen_config,
    quantity_config,
)
from inverterproto_cli.sinks.sink import Identity
from inverterproto_cli.sinks.topics import SEEN

RANK = ("status", "data", "record", "stored", "wifi", "handshake", "configuration")
"""The kinds of messages, those that come most often first."""


def _rank(kind: str) -> int:
    return RANK.index(kind) if kind in RANK else len(RANK)


class _Device:
    """A device that was shown.

    Attributes:
        identity: what is known of it.
        kinds: key → the kind that its entity listens to; `LAST_SEEN` is one of the keys.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.kinds: dict[str, str] = {}

    def bind(self, key: str, kind: str) -> bool:
        """Let the entity of a key listen to a kind, if that is better; return whether it is."""
        bound = self.kinds.get(key)
        if bound is not None and _rank(kind) >= _rank(bound):
            return False
        self.kinds[key] = kind
        return True


class Entities:
    """The entities of all devices.

    Args:
        wishes: the user's.
        logger: tells what is known of a logger.
    """

    def __init__(self, wishes: Wishes, logger: Callable[[str], Identity]) -> None:
        self._wishes = wishes
        self._logger = logger
        self._devices: dict[tuple[str, str], _Device] = {}

    def see(self, identity: Identity, reading: Reading) -> list[Config]:
        """Take note of what a device shows; return what Home Assistant has to know anew."""
        before: list[Config] = []
        carrier = carrier_of(identity)
        if carrier not in (None, identity.serial):
            before = self._see(self._logger(str(carrier)), {LAST_SEEN: SEEN})
        shown = dict.fromkeys(reading.values, reading.kind)
        shown[LAST_SEEN] = SEEN if identity.kind == "logger" else reading.kind
        return before + self._see(identity, shown)

    def _see(self, identity: Identity, shown: dict[str, str]) -> list[Config]:
        """Take note of the keys that a device shows, and in which kinds."""
        device = self._devices.setdefault((identity.family, identity.serial), _Device(identity))
        better = [key for key, kind in shown.items() if device.bind(key, kind)]
        if device.identity != identity:  # what is said of the device stands in every message
            device.identity = identity
            better = list(device.kinds)
        return [self._config(device, key) for key in better]

    def listens(self, reading: Reading, key: str) -> bool:
        """Return whether the entity of a key listens to the kind of a reading."""
        device = self._devices.get((reading.family, reading.device or ""))
        return device is not None and device.kinds.get(key) == reading.kind

    def keep_only(self, known: Collection[tuple[str, str]]) -> None:
        """Forget all devices but some, by family and serial."""
        self._devices = {key: device for key, device in self._devices.items() if key in known}

    def all(self) -> Iterator[Config]:
        """Yield what Home Assistant has to know; devices may be added meanwhile."""
        for device in list(self._devices.values()):
            for key in list(device.kinds):
                yield self._config(device, key)

    def _config(self, device: _Device, key: str) -> Config:
        kind = device.kinds[key]
        if key == LAST_SEEN:
            return last_seen_config(device.identity, kind, self._wishes)
        return quantity_config(device.identity, key, kind, self._wishes)


def carrier_of(identity: Identity) -> str | None:
    """Return the serial of the logger that is heard when a device is: its own, if it is one."""
    return identity.serial if identity.kind == "logger" else identity.via
