"""Payloads in files whose names say which messages they are: `001-001-016.json`, `1-1-12.csv`.

The three numbers are the header's three bytes (version, direction, command); what follows them is
free. The file's bytes are the payload as they are: a test bench must be able to misbehave.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inverterproto.alphaess.clock import format_stamp, parse_stamp
from inverterproto.alphaess.frame import ENVELOPE, LONGEST, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.checksum import crc16_modbus

_NAME = re.compile(r"([0-9]{1,3})-([0-9]{1,3})-([0-9]{1,3})(?![0-9])", re.ASCII)


class NoMessageError(ValueError):
    """A file's name does not say which message it is."""


class FileError(Exception):
    """A file cannot be sent."""


class Payload(NamedTuple):
    """A message to be sent.

    Attributes:
        name: the file's.
        header: version, direction, command.
        payload: the bytes.
        doubt: what is odd about it, or nothing.
    """

    name: str
    header: tuple[int, int, int]
    payload: bytes
    doubt: str = ""

    def build(self, at: float | None = None) -> bytes:
        """Return the frame; its times are moved so that the last one is `at`, if that is given.

        Args:
            at: by the battery's clock, as `parse_stamp` has it.
        """
        payload = self.payload if at is None else _at(self.header, self.payload, at)
        head = bytes(self.header) + len(payload).to_bytes(4, "big")
        return head + payload + crc16_modbus(head + payload).to_bytes(2, "big")


def header_of(path: str) -> tuple[int, int, int]:
    """Return the three numbers of a file's name.

    Raises:
        NoMessageError: there are none, or one is no byte.
    """
    name = os.path.basename(path)
    found = _NAME.match(name)
    numbers = tuple(map(int, found.groups())) if found else ()
    if len(numbers) != 3 or max(numbers) > 255:
        raise NoMessageError(
            f"{name!r} does not begin with three numbers 0 to 255, as 001-001-016.json does"
        )
    return numbers[0], numbers[1], numbers[2]


def load(path: str, *, compact: bool = False) -> Payload:
    """Return the message in a file.

    Args:
        path: of the file.
        compact: take insignificant white space out of JSON.

    Raises:
        NoMessageError: its name does not say which message it is.
        FileError: it is not there, empty or too large.
    """
    header = header_of(path)
    try:
        payload = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    if not payload and header[2] != 0:
        raise FileError(f"{path}: is empty")
    if len(payload) > LONGEST - ENVELOPE:
        raise FileError(f"{path}: {len(payload):,} bytes; a frame takes {LONGEST - ENVELOPE:,}")
    doubt = _doubt(path, payload)
    if compact and not doubt and path.lower().endswith(".json"):
        payload = _compacted(payload)
    return Payload(os.path.basename(path), header, payload, doubt)


def _doubt(path: str, payload: bytes) -> str:
    """Return why a file is not what its name says, or nothing."""
    if path.lower().endswith(".json"):
        try:
            json.loads(payload)
        except (ValueError, RecursionError) as error:
            return f"no JSON: {error}"
    elif path.lower().endswith(".csv"):
        lines = payload.decode("latin-1").splitlines()
        if len(lines) < 2 or len({line.count(",") for line in lines if line}) != 1:
            return "no CSV of a header line and rows of as many cells"
    return ""


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\s"]++|\s++', re.DOTALL)


def _compacted(payload: bytes) -> bytes:
    """Return JSON without insignificant white space; all else stays, doubled keys included."""
    return b"".join(part for part in _TOKEN.findall(payload) if not part.isspace())


def _at(header: tuple[int, int, int], payload: bytes, at: float) -> bytes:
    """Return a payload whose last time is `at`, and the others as far before it as they were."""
    version, direction, command = header
    if version != 1 or direction not in (1, 2):
        return payload
    message = Message.parse(Frame(version, direction, command, payload))
    fields = message.fields
    if "Time" in fields:
        return message.replace({"Time": format_stamp(at)}).payload
    columns = fields.get("columns", [])
    if "Time" not in columns:
        return payload
    rows = [list(row) for row in fields["rows"]]
    stamps = list(_stamps(columns, rows))
    last = max((stamp for stamp in stamps if stamp is not None), default=at)
    for row, stamp in zip(rows, stamps, strict=True):
        if stamp is not None:
            _set_stamp(columns, row, stamp - last + at)
    return message.replace({"rows": rows}).payload


def _stamps(columns: list[str], rows: list[list[object]]) -> Iterator[float | None]:
    for row in rows:
        cells = dict(zip(columns, row, strict=False))
        yield parse_stamp(f"{cells['Date']} {cells.get('Time')}" if "Date" in cells
                          else cells.get("Time"))  # fmt: skip


def _set_stamp(columns: list[str], row: list[object], stamp: float) -> None:
    date, time = format_stamp(stamp).split(" ")
    if "Date" in columns:
        row[columns.index("Date")] = date
        row[columns.index("Time")] = time
    else:
        row[columns.index("Time")] = f"{date} {time}"
