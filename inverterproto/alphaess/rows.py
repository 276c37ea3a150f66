"""Every value in its place in a frame, for people, and for whoever hides what is private.

A row holds just the bytes of a value, without quotation marks. Where something private stands
inside a longer text (the MAC address of a restart message, whatever is in broken JSON) or behind a
key inside a nested value, a row of its own follows that of the text or value.

What is no declared key's, or not of that key's kind (a text where a number is declared), is
unknown: it has confidence C and no source. Unknown keys are private where their name tells it.
"""

import re
from collections.abc import Iterator
from typing import Any

from construct import Int8ub, Int16ub, Int32sb

from inverterproto.alphaess.events import find_mac, is_understood
from inverterproto.alphaess.fields import BY_NAME, Kind
from inverterproto.alphaess.fields import Field as Key
from inverterproto.alphaess.frame import HEADER_SIZE
from inverterproto.alphaess.payloads import RAW, Content, Form
from inverterproto.alphaess.table import COLUMNS, ROWS, Line, Table, scan_table
from inverterproto.alphaess.text import Pair, scan
from inverterproto.jsontext import TOKEN, unescaped
from inverterproto.layout import Field, Layout, Raw, Row
from inverterproto.private import Private, told_by_name

HEADER = Layout(
    "header",
    "AlphaESS envelope, before the payload",
    (
        Field(0, "version", Int8ub, source="V, D", meaning="always 1"),
        Field(1, "direction", Int8ub, source="V, D", names={1: "request or push", 2: "reply"}),
        Field(2, "command", Int8ub, source="V, D"),
        Field(3, "length", Int32sb, unit="bytes", source="V, D", meaning="of the payload"),
    ),
    source="V, D",
)

TRAILER = Layout(
    "trailer",
    "AlphaESS envelope, behind the payload",
    (
        Field(
            0,
            "crc",
            Int16ub,
            hexadecimal=True,
            source="V, D",
            meaning="CRC-16/Modbus of all before it, big endian",
        ),
    ),
    source="V, D",
)

# A key and what stands behind it in JSON that is broken, up to the next quotation mark.
_find_values = re.compile(
    rb'"((?:[^"\\\n]|\\.){1,80}+)"\s*+:[\s"\[]*+((?:[^"\\]|\\.)++)', re.DOTALL
).finditer


def rows(raw: bytes, content: Content) -> Iterator[Row]:
    """Yield the rows of the frame `raw`, whose payload says `content`."""
    yield from HEADER.rows(raw[:HEADER_SIZE])
    payload = raw[HEADER_SIZE:-2]
    if content.form is Form.JSON:
        document = scan(payload)
        for pair in document.pairs:
            yield from _pair_rows(payload, pair, content)
        end = payload.index(b"}", document.pairs[-1].end if document.pairs else 0) + 1
        if payload[end:].strip():
            yield _text_row(payload, f"unknown_{end}", end, payload[end:].decode("latin-1"))
    elif content.form is Form.TABLE:
        yield from _table_rows(payload, scan_table(payload), content.fields)
    elif payload:
        yield from _whole_rows(payload, content.fields)
    yield from TRAILER.rows(raw[-2:], len(raw) - 2)


def _row(payload: bytes, name: str, start: int, end: int, value: Any) -> Row:  # noqa: ANN401 - any JSON value
    """Return the row of a value of the payload; the table says what its key means."""
    known = BY_NAME.get(name.partition("#")[0])
    if known is None:
        field = Field(
            start,
            name,
            Raw(end - start),
            confidence="C",
            private=told_by_name(name),
            meaning="a key nobody knows",
        )
    else:
        fits = _fits(known, value)
        field = Field(
            start,
            name,
            Raw(end - start),
            unit=known.unit if fits else None,
            quantity=known.quantity if fits else None,
            confidence=known.confidence if fits else "C",
            source=known.source if fits else "",
            private=known.private,
            meaning=known.meaning,
        )
    return Row(HEADER_SIZE + start, payload[start:end], field, value)


def _fits(known: Key, value: object) -> bool:
    """Return whether a value is what its key is declared to hold."""
    if isinstance(value, str):
        told = known.kind is Kind.TEXT or known.quantity in ("fault", "alarm")  # codes or texts
        return told or len(value) < 4  # such as "", "nan", "--"
    return not isinstance(value, list | dict)


def _text_row(payload: bytes, name: str, start: int, value: Any) -> Row:  # noqa: ANN401 - any JSON value
    """Return the row of the rest of a payload, of which nobody knows what it says."""
    raw = payload[start:]
    what = "binary" if name == RAW else "could not be read"
    field = Field(start, name, Raw(len(raw)), confidence="C", private=Private.TEXT, meaning=what)
    return Row(HEADER_SIZE + start, raw, field, value)


def _pair_rows(payload: bytes, pair: Pair, content: Content) -> Iterator[Row]:
    quoted = payload[pair.value_start] == ord('"')
    start, end = pair.value_start + quoted, pair.end - quoted
    row = _row(payload, pair.name, start, end, content.fields[pair.name])
    if pair.key == "MsgContent" and not is_understood(content.fields):
        # What else such a text says may be anything.
        row = row._replace(field=row.field._replace(private=Private.TEXT))
    yield row
    if pair.key == "MsgContent":
        place = find_mac(payload[start:end].decode("latin-1"))
        if place is not None:
            first, last = start + place[0], start + place[1]
            mac = payload[first:last].decode().replace(" ", ":").lower()
            yield _row(payload, "mac", first, last, mac)
    if not quoted and payload[start] in b"{[":
        yield from _nested_rows(payload, start, end)


def _nested_rows(payload: bytes, start: int, end: int) -> Iterator[Row]:
    """Yield what stands behind private keys inside an object or array, at any depth.

    All inside what a private key holds is as private as that.
    """
    outer: list[str] = []
    name, held = "", None
    for token in TOKEN.finditer(payload, start, end):
        sign = token[0]
        if sign.isspace():
            continue
        if held is not None:
            if sign == b":":  # it was a key
                own = unescaped(held[1]).decode("latin-1")
                name = own if _private_kind(own) else outer[-1]
            else:
                yield from _private_row(payload, name, held.span(1))
        held = token if token[1] is not None else None
        if token[2] is not None or token[4] is not None:
            yield from _private_row(payload, name, token.span())
        elif sign in b"{[":
            outer.append(name)
        elif sign in b"}]":
            name = outer.pop()
        elif sign == b",":
            name = outer[-1]


def _private_row(payload: bytes, name: str, place: tuple[int, int]) -> Iterator[Row]:
    start, end = place
    if name and start < end:
        yield _row(payload, name, start, end, payload[start:end].decode("latin-1"))


def _private_kind(name: str) -> Private | None:
    known = BY_NAME.get(name)
    return told_by_name(name) if known is None else known.private


def _table_rows(payload: bytes, table: Table, fields: dict[str, Any]) -> Iterator[Row]:
    columns = fields[COLUMNS]
    if table.header is not None:
        start, end = table.header.start, table.header.end
        field = Field(start, COLUMNS, Raw(end - start), source="V", meaning="what the cells mean")
        yield Row(HEADER_SIZE + start, payload[start:end], field, columns)
        for name, (start, end) in zip(columns, table.header.places(), strict=True):
            if name not in BY_NAME:
                field = Field(start, name, Raw(end - start), confidence="C", source="V")
                yield Row(HEADER_SIZE + start, payload[start:end], field, name)
    for line, values in zip(table.lines, fields[ROWS], strict=True):
        yield from _line_rows(payload, columns, line, values)


def _line_rows(payload: bytes, columns: list[str], line: Line, values: list[Any]) -> Iterator[Row]:
    for at, ((start, end), value) in enumerate(zip(line.places(), values, strict=True)):
        name = columns[at] if at < len(columns) else f"unknown_{at + 1}"
        yield _row(payload, name, start, end, value)


def _whole_rows(payload: bytes, fields: dict[str, Any]) -> Iterator[Row]:
    """Yield a payload that could not be read, and what in it is probably private."""
    name, value = next(iter(fields.items()))
    yield _text_row(payload, name, 0, value)
    for row in find_private(payload):
        yield row._replace(offset=HEADER_SIZE + row.offset)


def find_private(data: bytes) -> list[Row]:
    """Return what stands behind private keys in any text, its offsets those of the text."""
    rows = []
    for found in _find_values(data):
        start, end = found.span(2)
        name = unescaped(found[1]).decode("latin-1")
        rows.append(_row(data, name, start, end, found[2].decode("latin-1")))
    place = find_mac(data.decode("latin-1"))
    if place is not None:
        start, end = place
        rows.append(_row(data, "mac", start, end, data[start:end].decode()))
    private = [row._replace(offset=row.field.offset) for row in rows if row.field.private]
    return sorted(private, key=lambda row: row.offset)
