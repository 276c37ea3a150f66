"""What a sink is, and what it is given.

A sink is a class with `deliver`, `test` and `close`, and a `SinkType` that tells what it is called,
what can be set, and makes one. Those of others are found by the entry point `inverterproto.sinks`,
which names a `SinkType`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from inverterproto.quantity import Number
from inverterproto.reading import Reading, utc_text


class Entry(NamedTuple):
    """A reading on its way to a sink.

    Attributes:
        number: the delivery number of its record: greater for what is delivered later.
        reading: what was measured; the time is None where nobody knows it.
        arrival: when its record came, in unix seconds.
        answered: by whom the device was answered: `"us"`, `"cloud"`, or None.
        fields: what else the layout names, numbers only, by the layout's names; empty unless the
            user asks for all fields.
    """

    number: int
    reading: Reading
    arrival: float
    answered: str | None = None
    fields: Mapping[str, Number] = {}

    def to_json(self) -> dict[str, object]:
        """Return it as `inverterproto readings --json` has it, with its number."""
        fields = {"fields": dict(self.fields)} if self.fields else {}
        return {
            "family": self.reading.family,
            **self.reading.to_json(),
            **fields,
            "arrival": utc_text(self.arrival),
            "answered": self.answered,
            "number": self.number,
        }


class Identity(NamedTuple):
    """What is known of a device.

    Attributes:
        family: `"deye"` or `"alphaess"`.
        serial: its own.
        kind: `"inverter"`, `"battery"` or `"logger"`.
        manufacturer: of the device, for people.
        model: as it calls itself, or what data of its type are of; None if it is not known.
        firmware: its version, None if it is not known.
        via: the serial of the logger that carries it, where there is one.
    """

    family: str
    serial: str
    kind: str
    manufacturer: str
    model: str | None = None
    firmware: str | None = None
    via: str | None = None


class TroubleError(Exception):
    """The sink cannot deliver now, whatever it is given: it is tried again later.

    The message is for people: a line that says what to do, without any secret.
    """


class TooSlowError(TroubleError):
    """The other side did not answer in time: a smaller batch may be what it can take."""


class RefusedError(Exception):
    """The other side refuses what it was given, and would refuse it again.

    Args:
        text: why, for people, without any secret.
        at: which entry of the batch is refused, where the other side tells; those before it are
            delivered. If it does not tell, none counts as delivered, and smaller batches are tried
            until it is found.
    """

    def __init__(self, text: str, at: int | None = None) -> None:
        super().__init__(text)
        self.at = at


class Sink(Protocol):
    """Takes readings somewhere. All methods are called in one event loop, one at a time."""

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Deliver some entries, in their order; there is one at least.

        Returns:
            How many of them, from the first on, have arrived for sure. Those behind come again.

        Raises:
            TroubleError: none could be delivered for now.
            RefusedError: one is refused for good.
        """
        ...

    async def test(self, entry: Entry) -> str:
        """Send one entry that is marked as a test, where it does no harm; return what came back.

        Raises:
            TroubleError, RefusedError: it could not be sent.
        """
        ...

    async def close(self) -> None:
        """Let go of everything; nothing is delivered any more."""
        ...


@runtime_checkable
class Standing(Protocol):
    """A sink that is there though nothing is delivered, and shows it on the other side."""

    async def begin(self, number: int) -> None:
        """Begin, before anything is delivered; it does not wait for the other side.

        It may be called again.

        Args:
            number: of the last entry that was delivered; those behind it will come.
        """
        ...


class Surroundings(Protocol):
    """What a sink may ask of the program around it."""

    @property
    def name(self) -> str:
        """The sink's own name."""
        ...

    def identity(self, reading: Reading) -> Identity:
        """Return what is known of the device that measured something."""
        ...

    def logger(self, serial: str) -> Identity:
        """Return what is known of a logger."""
        ...

    def known(self) -> Collection[tuple[str, str]]:
        """Return family and serial of all devices that the store knows, loggers among them.

        Raises:
            TroubleError: the store cannot be read.
        """
        ...

    def newest(self, reading: Reading, before: int, until: float) -> float | None:
        """Return the time of the newest fresh reading of its device and kind.

        Args:
            reading: tells device and kind.
            before: only records with a smaller number.
            until: only what was measured before; a clock may have been wrong.

        Raises:
            TroubleError: the store cannot be read.
        """
        ...

    def present(self, until: float) -> Sequence[Entry]:
        """Return the newest readings of each device and kind that the device had not kept.

        They may be old, or yet to be delivered.

        Args:
            until: only what was measured before; a clock may have been wrong.

        Raises:
            TroubleError: the store cannot be read.
        """
        ...

    def say(self, event: str, text: str) -> None:
        """Tell people something, once; texts that come often are told seldom."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that can be set of a sink.

    Attributes:
        key: in its table of the configuration file, in words joined by dashes.
        help: one line for people, with a full stop.
        kind: of its value: `str`, `int`, `float`, `bool`, `list` (of texts), `dict` (a table; only
            in the file).
        default: if it is not set.
        flag: on the command line, where it is not `--TYPE-KEY`; None for no flag.
        environment: other variables than `INVERTERPROTO_…`, which is made from the flag.
        secret: whether nobody may see it. It has no flag, but one for a file that holds it
            (`--TYPE-KEY-file`), and a key `KEY-file`.
        metavar: how the value is shown in the help.
    """

    key: str
    help: str
    kind: type = str
    default: Any = None
    flag: str | None = ""
    environment: tuple[str, ...] = ()
    secret: bool = False
    metavar: str | None = None


@dataclass(frozen=True, slots=True)
class SinkType:
    """A kind of sink.

    Attributes:
        name: in options and in `type = "…"`.
        title: for people.
        settings: what can be set; the first says where to, and setting it makes the sink.
        open: makes one of the values of all settings, by their keys; it does not connect yet.
            It raises `ValueError` with a line for people if a value is of no use, `MissingExtra`
            if a library is missing, `OSError` if a file that it names cannot be read.
        needs_time: whether readings of unknown time are left out (and counted).
        batch: how many entries it takes at most.
    """

    name: str
    title: str
    settings: tuple[Setting, ...]
    open: Callable[[Mapping[str, Any], Surroundings], Sink]
    needs_time: bool = False
    batch: int = 500
