"""Payloads in files whose names say which messages they are: `001-001-016.json`, `1-1-12.csv`.

The three numbers are the header's three bytes (version, direction, command); what follows them is
free. The file's bytes are the payload as they are: a test bench must be able to misbehave. What is
asked to be changed (white space, times) is changed alone: all other bytes stay.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.frame import ENVELOPE, LONGEST, REQUEST, VERSION, Frame
from inverterproto.alphaess.messages import KEEP_ALIVE, Message, stamp_of
from inverterproto.alphaess.payloads import Form
from inverterproto.alphaess.table import COLUMNS, ROWS, row_fields, scan_table
from inverterproto.checksum import crc16_modbus

LONGEST_PAYLOAD = LONGEST - ENVELOPE
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
            at: by the battery's clock, as `clock.format_stamp` has it.
        """
        payload = self.payload if at is None else _at(self.header[2], self.payload, at)
        body = bytes(self.header) + len(payload).to_bytes(4, "big") + payload
        return body + crc16_modbus(body).to_bytes(2, "big")


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
        FileError: it is not there, too large, or empty (only a keep-alive may be that).
    """
    header = header_of(path)
    try:
        with Path(path).open("rb") as file:
            payload = file.read(LONGEST_PAYLOAD + 1)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise FileError(f"{path!r}: {error}") from error
    if not payload and header[2] != KEEP_ALIVE:
        raise FileError(f"{path}: is empty")
    if len(payload) > LONGEST_PAYLOAD:
        raise FileError(f"{path}: is too large: a frame takes {LONGEST_PAYLOAD:,} bytes")
    doubt = _doubt(path, payload) if payload else ""
    if compact and not doubt and _is_json(path):
        payload = compacted(payload)
    return Payload(os.path.basename(path), header, payload, doubt)


def _is_json(path: str) -> bool:
    return path.lower().endswith(".json")


def _doubt(path: str, payload: bytes) -> str:
    """Return why a file is not what its name says, or nothing."""
    if _is_json(path):
        try:
            json.loads(payload.decode(), parse_int=str, parse_float=str, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return f"no JSON: {error}"
    elif path.lower().endswith(".csv"):
        problems = scan_table(payload).problems
        return f"no CSV of stored records: {problems[0]}" if problems else ""
    return ""


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


_find_tokens = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^\s"]++', re.DOTALL).findall


def compacted(payload: bytes) -> bytes:
    """Return JSON without insignificant white space; all else stays, doubled keys included."""
    return b"".join(_find_tokens(payload))


def _at(command: int, payload: bytes, at: float) -> bytes:
    """Return a payload whose last time is `at`, and the others as far before it as they were.

    Whatever the header says, the payload is read as a battery's; without a time it stays.
    """
    message = Message.parse(Frame(VERSION, REQUEST, command, payload))
    fields = message.fields
    if message.content.form is Form.TABLE:
        changes: dict[str, Any] = {ROWS: _rows_at(fields[COLUMNS], fields[ROWS], at)}
    else:
        times = [name for name in fields if name.partition("#")[0] == "Time"]
        changes = dict.fromkeys(times, format_stamp(at))
    return message.replace(changes).payload if changes else payload


def _rows_at(columns: list[str], rows: list[list[Any]], at: float) -> list[list[Any]]:
    """Return a table's rows with other times; a row without one stays."""
    told = [row_fields(columns, row) for row in rows]
    stamps = [stamp_of(fields) for fields in told]
    last = max((stamp for stamp in stamps if stamp is not None), default=at)
    moved = []
    for row, fields, stamp in zip(rows, told, stamps, strict=True):
        if stamp is not None:
            text = format_stamp(stamp - last + at)
            date, time = text.split(" ")
            new = {"Date": date, "Time": time} if "Date" in fields else {"Time": text}
            cells = {**fields, **new}.values()
            row = [*cells, *row[len(fields) :]]
        moved.append(row)
    return moved
