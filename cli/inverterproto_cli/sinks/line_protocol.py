r"""Readings as points in InfluxDB's line protocol: `measurement,tag=text field=1.5 1712596443000`.

Pure: entries in, bytes out.

*A point is known by measurement, tags and time*: the same again is the same point, and points that
differ in their fields alone become one. So the tags are the device's serial, its family, and what
the user sets: nothing that is learned later or differs between messages of the same moment.

*Numbers are floats*, whole ones too: a field that was an integer once refuses every fraction later.

*What must not break a line.* Backslashes escape commas, spaces and equals signs, but no writer can
escape a backslash before them in a name or tag (the readers do not agree), and a line break ends a
line wherever it stands for some readers. So `\` becomes `＼` in names and tags, and control
characters become their pictures (`␊`) everywhere: still to be read, and of no effect.
"""

import math
from collections.abc import Iterator, Mapping

from inverterproto.quantity import Number
from inverterproto_cli.sinks.sink import Entry

_CONTROL: dict[int, str] = {code: chr(0x2400 + code) for code in range(0x20)}
_CONTROL |= {0x7F: "␡"}
# What ends a line for some readers, though not for all.
_CONTROL |= dict.fromkeys((0x85, 0x2028, 0x2029), "␤")


def _table(characters: dict[str, str]) -> dict[int, str]:
    return _CONTROL | {ord(character): text for character, text in characters.items()}


_MEASUREMENT = _table({"\\": "＼", ",": "\\,", " ": "\\ "})
_NAME = _table({"\\": "＼", ",": "\\,", " ": "\\ ", "=": "\\="})
_TEXT = _table({"\\": "\\\\", '"': '\\"'})

OWN_TAGS = ("device", "family")
"""The tags that come from the reading."""


def escape_measurement(name: str) -> str:
    """Return a measurement's name as it stands in a line."""
    return name.translate(_MEASUREMENT)


def escape_name(name: str) -> str:
    """Return a tag's key or value, or a field's key, as it stands in a line."""
    return name.translate(_NAME)


def check_series(measurement: str, tags: Mapping[str, object]) -> None:
    """Look whether a measurement and constant tags are of use.

    Raises:
        ValueError: they are not, for people.
    """
    if not measurement or measurement[0] in "#_":
        raise ValueError("measurement: a name that does not begin with # or _ is needed")
    for key, value in tags.items():
        if not key or key in (*OWN_TAGS, "time") or key.startswith("_"):
            raise ValueError(f"tags: {key!r} is taken or not possible, give it another name")
        if not isinstance(value, str | int | float) or value == "":
            raise ValueError(f"tags: {key} needs a text")


def line(entry: Entry, measurement: str, tags: Mapping[str, object], extra: str = "") -> bytes:
    """Return the point that an entry is; nothing if there is no field in it.

    Args:
        entry: what was measured.
        measurement: its name.
        tags: the constant ones.
        extra: a field to put before the others, as it stands in a line.
    """
    reading = entry.reading
    fields = [*([extra] if extra else ()), *_fields(entry)]
    if not fields:
        return b""
    own = zip(OWN_TAGS, (reading.device, reading.family), strict=True)
    series = escape_measurement(measurement)
    for key, value in sorted([*own, *tags.items()]):
        if value is not None and value != "":
            series += f",{escape_name(key)}={escape_name(str(value))}"
    stamp = "" if reading.time is None else f" {round(reading.time * 1000)}"
    return f"{series} {','.join(fields)}{stamp}".encode(errors="replace")


def _fields(entry: Entry) -> Iterator[str]:
    yield from (_field(key, value) for key, value in entry.reading.values.items() if _fits(value))
    for key, value in entry.fields.items():
        # Apart from quantities of the same name, which have our units and signs.
        if _fits(value):
            yield _field(f"fields_{key}", value)


def _field(key: str, value: Number | str) -> str:
    text = f'"{value.translate(_TEXT)}"' if isinstance(value, str) else repr(float(value))
    return f"{escape_name(key)}={text}"


def _fits(value: Number | str) -> bool:
    """Return whether the database has a place for a value: it knows finite numbers only."""
    try:
        return isinstance(value, str) or math.isfinite(float(value))
    except OverflowError:
        return False
