"""The registry of protocol families: what there is, and how to recognise it.

Outside the two family packages themselves, this is the only place that knows them by name. A
family's modules are imported when first used, so that who speaks one does not pay for the other.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from inverterproto.foreign import is_client_hello
from inverterproto.reading import Dated, Reading, Record
from inverterproto.stream import Framing

if TYPE_CHECKING:
    from inverterproto.gate import AllowList, Gate, Rights
    from inverterproto.layout import Layout, Row
    from inverterproto.private import Private
    from inverterproto.session import CloudSession, DeviceState, States


class Message(Protocol):
    """What both families' messages have in common."""

    @property
    def name(self) -> str:
        """The message's name, `"unknown"` for one that is not known."""
        ...

    @property
    def sender(self) -> str | None:
        """`"device"`, `"cloud"`, or None where the message does not tell."""
        ...

    @property
    def device(self) -> str | None:
        """The sender as the envelope tells it."""
        ...

    @property
    def fields(self) -> dict[str, Any]:
        """The payload by field names."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, though it could be read."""
        ...

    def find_problems(self, confidence: str = "B") -> tuple[str, ...]:
        """Return the problems if fields of a lesser confidence are to be published too."""
        ...

    def rows(self, raw: bytes) -> "Iterator[Row]":
        """Yield every field of the frame whose bytes are `raw`, envelope and all, in order."""
        ...

    def records(self, confidence: str = "B") -> list[Record]:
        """Return what was measured, undated."""
        ...

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return what was measured, dated by this message alone."""
        ...


class Dating(Protocol):
    """Dates the records of all devices of a family, also after the fact."""

    def see(
        self,
        message: Any,  # noqa: ANN401 - the family's own
        keys: list[object],
        records: list[Record],
        arrival: float | None,
    ) -> list[Dated]:
        """Take in a message and its records (`keys` name them); return what is dated by it."""
        ...

    def settle(self, now: float) -> list[Dated]:
        """Return what is dated because its waiting is over."""
        ...

    def finish(self) -> list[Dated]:
        """Date all that waits as well as can be."""
        ...


class Editing(Protocol):
    """Makes frames of what the JSON of `decode` says, edited or not."""

    @property
    def PARTS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of a module
        """What of the header may be changed; all else in it is computed."""
        ...

    @property
    def DEFAULTS(self) -> Mapping[str, Any]:  # noqa: N802 - a constant of a module
        """What of the header need not be said."""
        ...

    def header_of(self, name: str) -> dict[str, int]:
        """Return what a message's name says of the header: nothing if it is not known."""
        ...

    def build(
        self,
        header: Mapping[str, Any],
        fields: Mapping[str, Any],
        onto: Any,  # noqa: ANN401 - the family's own Message, or None
    ) -> Any:  # noqa: ANN401 - the family's own Frame
        """Return the frame that says these, changing a message or beginning with nothing."""
        ...

    def derived(self, message: Any) -> frozenset[str]:  # noqa: ANN401 - the family's own Message
        """Return the names of fields that are read out of others."""
        ...

    def origins(
        self,
        message: Any,  # noqa: ANN401 - the family's own Message
        key: str,
        record: int,
        confidence: str,
    ) -> tuple[str, ...]:
        """Return what of header and fields makes something that `decode` shows."""
        ...


class Family:
    """One protocol family.

    Attributes:
        name: as it stands in the JSON of `decode` and in options.
        title: for people.
        port: the cloud's default TCP port.
        start: the byte with which every frame begins.
        textual: whether its payloads are text (JSON, CSV) rather than binary.
    """

    def __init__(
        self, name: str, title: str, port: int, start: int, *, textual: bool = False
    ) -> None:
        self.name = name
        self.title = title
        self.port = port
        self.start = start
        self.textual = textual

    def __repr__(self) -> str:
        return f"Family({self.name})"

    def _module(self, name: str) -> Any:  # noqa: ANN401 - a module
        return import_module(f"inverterproto.{self.name}.{name}")

    @property
    def framing(self) -> Framing:
        """How its frames are told apart in a stream."""
        framing: Framing = self._module("frame").FRAMING
        return framing

    def header(self, raw: bytes) -> dict[str, Any]:
        """Return the envelope of a frame's bytes by field names."""
        header: dict[str, Any] = self._module("frame").header_fields(raw)
        return header

    def salvage(self, raw: bytes) -> Any:  # noqa: ANN401 - the family's own Frame, or None
        """Return the frame of which `raw` is the beginning, whatever length it claims."""
        return self._module("frame").salvage(raw)

    def private_rows(self, raw: bytes) -> "Iterator[Row]":
        """Yield the private fields in bytes that hold only pieces of frames, as far as told."""
        rows: Iterator[Row] = self._module("salvage").private_rows(raw)
        return rows

    def message(self, frame: Any) -> Message:  # noqa: ANN401 - the family's own Frame
        """Return what a frame says."""
        message: Message = self._module("messages").Message.parse(frame)
        return message

    @property
    def payload_kinds(self) -> tuple[str, ...]:
        """What a payload without an envelope may be called (see `message_of_payload`)."""
        kinds: tuple[str, ...] = self._module("bare").kinds()
        return kinds

    def message_of_payload(
        self, kind: str, payload: bytes
    ) -> tuple[Message, Any, tuple[str, ...], int]:
        """Return what a payload without an envelope says.

        Args:
            kind: one of `payload_kinds`.
            payload: the bytes.

        Returns:
            The message, in a frame of nobody; that frame; what speaks against its being of that
            kind; and how many bytes it should have.

        Raises:
            FieldError: there is no such kind.
        """
        message, doubts, size = self._module("bare").message_of(kind, payload)
        return message, message.frame, doubts, size

    def dating(self, clock_offset: float | None = None, now: float | None = None) -> Dating:
        """Return a new dating for devices of this family.

        Args:
            clock_offset: device clock minus UTC in seconds, where the user knows it.
            now: unix time in seconds, where it is known: nothing was measured after it.
        """
        dating: Dating = self._module("dates").Dating(clock_offset, now)
        return dating

    def watcher(self, states: "States", **options: Any) -> Any:  # noqa: ANN401 - the family's own Watcher
        """Return what makes records of one connection, whoever answers there."""
        return self._module("session").Watcher(states, **options)

    def masked(self, raw: bytes) -> bytes:
        """Return a frame's bytes with its credentials masked, fit to be kept."""
        masked: bytes = self._module("session").masked(raw)
        return masked

    def cloud_session(self, states: "States", **options: Any) -> "CloudSession":  # noqa: ANN401 - by family
        """Return the cloud's side of one connection; the options are those of the family's own."""
        session: CloudSession = self._module("session").CloudSession(states, **options)
        return session

    def allow_list(self, rights: "Rights", states: "States", **options: Any) -> "AllowList":  # noqa: ANN401 - by family
        """Return what judges the cloud's frames on one connection; `rights` are not `allow`."""
        allowed: AllowList = self._module("gate").AllowList(rights, states, **options)
        return allowed

    def gate(self, rights: "Rights", states: "States", **options: Any) -> "Gate":  # noqa: ANN401 - by family
        """Return what lets the cloud's bytes through to a device of this family, or holds them.

        Where devices of several families may come, give `Gate` the `allow_list` of each.
        """
        from inverterproto.gate import Gate

        return Gate(self.allow_list(rights, states, **options))

    def state(self, saved: Mapping[str, Any] | None = None) -> "DeviceState":
        """Return the state of a device: a new one, or the one that `to_state` told."""
        home = self._module("session").DeviceState
        state: DeviceState = home() if saved is None else home.from_state(saved)
        return state

    def detail(self, message: Any) -> str:  # noqa: ANN401 - the family's own Message
        """Return what else than its name tells how a message's payload is laid out, if anything."""
        detail: str = self._module("kinds").detail(message)
        return detail

    def meaning(self, frame: Any) -> str:  # noqa: ANN401 - the family's own Frame
        """Return what a frame that the cloud sent says, in a few words without a secret."""
        meaning: str = self._module("meaning").meaning(frame)
        return meaning

    def is_guessable(self, message: Any) -> bool:  # noqa: ANN401 - the family's own Message
        """Return whether a message measures something by a layout that is not known."""
        guessable: bool = self._module("kinds").is_guessable(message)
        return guessable

    @property
    def layouts(self) -> "dict[str, Layout]":
        """Every layout of what measures something, by what a message names it with."""
        layouts: dict[str, Layout] = self._module("kinds").layouts()
        return layouts

    @property
    def editing(self) -> Editing:
        """What makes frames of JSON."""
        editing: Editing = self._module("editing")
        return editing

    @property
    def message_names(self) -> tuple[str, ...]:
        """The names of all messages that are known."""
        return tuple(dict.fromkeys(entry.name for entry in self._module("messages").TYPES.values()))

    @property
    def keys(self) -> frozenset[bytes]:
        """Every known key that a payload may hold as text; none of a binary family's."""
        if not self.textual:
            return frozenset()
        return frozenset(name.encode() for name in self._module("fields").BY_NAME)

    @property
    def private_fields(self) -> "dict[str, Private]":
        """Every private field of its messages by name, with the kind of secret it holds."""
        private: dict[str, Private] = self._module("messages").private_fields()
        return private


DEYE = Family("deye", "Deye / Solarman V5", 10000, 0xA5)
ALPHAESS = Family("alphaess", "AlphaESS", 7777, 0x01, textual=True)

FAMILIES: dict[str, Family] = {family.name: family for family in (DEYE, ALPHAESS)}
"""Every family by name."""

HEAD = 7
"""So many bytes are always enough for `recognise`."""


def recognise(head: bytes) -> Family | str | None:
    """Tell from its first bytes what a stream is.

    Args:
        head: the first bytes; `HEAD` of them are always enough.

    Returns:
        The family; `"tls"` for a TLS ClientHello; `"unknown"` for anything else; None if more
        bytes are needed to tell.
    """
    if not head:
        return None
    if head[0] == DEYE.start:
        return DEYE
    if head[0] == ALPHAESS.start:
        if len(head) < HEAD:
            return None
        # By the header alone: a first frame that is damaged is of this family, too.
        return ALPHAESS if ALPHAESS.framing.match(head, 0, HEAD) else "unknown"
    if head[:1] == b"\x16" and len(head) < 3:
        return None
    return "tls" if is_client_hello(head) else "unknown"


def modbus_parts(data: bytes) -> list[Any]:
    """Return the Modbus RTU messages in some bytes, as `inverterproto.deye.rtu.split` does."""
    parts: list[Any] = import_module("inverterproto.deye.rtu").split(data)
    return parts


def framings(families: Iterable[Family] = FAMILIES.values()) -> list[Framing]:
    """Return the framings of some families."""
    return [family.framing for family in families]
