"""What the MQTT sink's messages hold: JSON."""

import json

import msgspec

from inverterproto.reading import utc_text
from inverterproto_cli.sinks.sink import Entry


def state(entry: Entry) -> bytes:
    """Return what a state topic holds of an entry."""
    reading = entry.reading
    said: dict[str, object] = {
        "time": None if reading.time is None else utc_text(reading.time),
        "time_source": str(reading.time_source),
        **reading.values,
    }
    if entry.fields:
        said["fields"] = dict(entry.fields)
    return encoded(said)


def seen(time: float) -> bytes:
    """Return what is said of a logger that was heard."""
    return encoded({"time": utc_text(time)})


def encoded(said: object) -> bytes:
    """Return JSON."""
    try:
        return msgspec.json.encode(said)
    except UnicodeEncodeError:  # what is no character, as a device may send it
        return json.dumps(said).encode("ascii")
