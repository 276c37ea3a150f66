"""What was decoded, for people: a tree, in colour on a terminal, plain elsewhere.

`lines` describes what is shown as lines with a depth and styled pieces; `PlainWriter` and
`TerminalWriter` put them out. Rich is imported only where there are colours to show. What comes
from a device is never printed as it is: control characters would reach the terminal.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from inverterproto.decoding import Decoded, plain
from inverterproto.families import Family, Message
from inverterproto.quantity import lookup
from inverterproto.reading import Reading, utc_text
from inverterproto.stream import Reason, Unframed
from inverterproto_cli.chunk import Chunk
from inverterproto_cli.summary import count_of

if TYPE_CHECKING:
    from inverterproto.layout import Row

Piece = tuple[str, str]
"""Text and the name of its style."""

STYLES = {
    "title": "bold",
    "dim": "dim",
    "raw": "cyan",
    "name": "",
    "value": "green",
    "note": "dim italic",
    "doubt": "yellow",
    "wrong": "bold red",
    "reading": "bold magenta",
    "unknown": "red",
}
_PALETTE = ("cyan", "green", "yellow", "blue", "magenta")
_SHOWN_BYTES = 8
_SHOWN_TEXT = 120


class Line(NamedTuple):
    """A line of the tree."""

    depth: int
    pieces: list[Piece]


def printable(text: str) -> str:
    """Return text with everything escaped that a terminal might act upon."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines(
    decoded: Decoded, *, byte_map: bool = False, name_sources: bool = False
) -> Iterator[Line]:
    """Yield the tree of one item."""
    item = decoded.item
    place = f"at {item.offset}, {count_of(len(item.raw), 'byte')}{_origin(decoded, name_sources)}"
    if decoded.at is not None:
        place += f", arrived {utc_text(decoded.at)}"
    if decoded.message is not None and decoded.family is not None:
        yield Line(0, [*_title(decoded.message, decoded.family), (f"  {place}", "dim")])
        yield from _frame_lines(decoded.message, item.raw, byte_map=byte_map)
        for reading in decoded.readings:
            yield from _reading_lines(reading)
        for problem in decoded.problems:
            yield Line(1, [("problem: ", "wrong"), (printable(problem), "wrong")])
        return
    yield Line(0, [("no frame", "wrong"), (f"  {place}: ", "dim"), (item_reason(decoded), "wrong")])
    message = decoded.tentative
    if message is not None and decoded.family is not None:
        masked = isinstance(item, Unframed) and item.reason is Reason.MASKED
        what = "some bytes are masked" if masked else "the checksum is wrong"
        warning = f"TENTATIVE: {what}, so any byte of this may be wrong: "
        yield Line(1, [(warning, "wrong"), *_title(message, decoded.family)])
        yield from _frame_lines(message, item.raw, byte_map=byte_map)
    elif byte_map:
        yield from _map_lines([], item.raw)
    else:
        yield Line(1, [(_hex(item.raw, 32), "raw"), (f"  {_ascii(item.raw[:32])}", "dim")])


def _origin(decoded: Decoded, name_sources: bool) -> str:  # noqa: FBT001 - private
    chunk = decoded.origin
    return printable(chunk.place(name_source=name_sources)) if isinstance(chunk, Chunk) else ""


def item_reason(decoded: Decoded) -> str:
    """Return why an item is no frame."""
    return str(getattr(decoded.item, "detail", ""))


def _title(message: Message, family: Family) -> list[Piece]:
    sender = {"device": "from device", "cloud": "to device"}.get(message.sender or "", "device")
    name = printable(message.device or "").strip()
    who = f"  {sender} {name}" if name else f"  {sender}"
    if message.sender is None and message.device is None:
        who = ""
    return [(message.name, "title"), (f"  {family.title}", "dim"), (who, "name")]


def _frame_lines(message: Message, raw: bytes, *, byte_map: bool) -> Iterator[Line]:
    rows = list(message.rows(raw))
    if byte_map:
        yield from _map_lines(rows, raw)
    width = max((len(row.field.name) for row in rows), default=0)
    for row in rows:
        yield from _row_lines(row, min(width, 40))


def _row_lines(row: "Row", width: int) -> Iterator[Line]:
    field = row.field
    pieces = [
        (f"{row.offset:5} ", "dim"),
        (f"{_hex(row.raw):<24} ", "raw"),
        (f"{printable(field.name):<{width}}  ", "name" if field.known else "dim"),
    ]
    if isinstance(row.value, dict):
        yield Line(1, pieces)
        for key, value in row.value.items():
            shown = _value_text(value)
            name = f"{printable(key)}  "
            yield Line(2, [(" " * 29, "dim"), (name, "name"), (shown, "value")])
        return
    pieces.append((_row_value(row), "value" if field.known else "dim"))
    if field.confidence != "A" and field.known:
        pieces.append((f"  [confidence {field.confidence}]", "doubt"))
    if field.meaning:
        pieces.append((f"  {field.meaning}", "note"))
    yield Line(1, pieces)


def _row_value(row: "Row") -> str:
    """Return a row's value as text, with its unit, or what it means that there is none."""
    field, value = row.field, row.value
    if isinstance(value, bytes):
        return f"{len(value)} × 00" if not any(value) else _ascii_note(value)
    if value is None:
        return "none"
    if field.names is not None and isinstance(value, int) and value in field.names:
        return f"{value} ({field.names[value]})"
    if field.hexadecimal:
        return f"{value:#0{2 + 2 * len(row.raw)}x}"
    symbol = "byte" if field.symbol == "bytes" and value == 1 else field.symbol
    return f"{_value_text(value)} {symbol}".rstrip()


def _value_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = value if isinstance(value, str) else str(plain(value))
    text = printable(text)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}… ({len(text)} characters)"


def _ascii_note(raw: bytes) -> str:
    shown = _ascii(raw[:32])
    return count_of(len(raw), "byte") + (f" {shown}" if shown.strip(".") else "")


def _reading_lines(reading: Reading) -> Iterator[Line]:
    shown = reading.to_json()
    time = shown["time"]
    when = f"{time} ({reading.time_source})" if time else "time unknown"
    kept = ", historic" if reading.historic else ""
    device = printable(reading.device or "unknown device")
    yield Line(1, [("reading ", "reading"), (f"{device}  {when}{kept}", "reading")])
    for key, value in reading.values.items():
        entry = lookup(key)
        number = f"{printable(str(value))} {entry.unit or ''}".rstrip()
        yield Line(
            2, [(f"{key:<28} ", "name"), (f"{number:<14} ", "value"), (entry.meaning, "note")]
        )


def _map_lines(rows: "list[Row]", raw: bytes) -> Iterator[Line]:
    """Yield a dump in which each byte shows its field; bytes of unknown meaning bear a `?`."""
    styles = ["dim"] * len(raw)
    known = [True] * len(raw)
    begins: dict[int, str] = {}
    for number, row in enumerate(rows):
        begins[row.offset] = row.field.name
        style = _PALETTE[number % len(_PALETTE)] if row.field.known else "unknown"
        for offset in range(row.offset, row.offset + len(row.raw)):
            styles[offset] = style
            known[offset] = row.field.known
    for start in range(0, len(raw), 16):
        span = range(start, min(start + 16, len(raw)))
        pieces: list[Piece] = [(f"{start:04x}  ", "dim")]
        pieces += [(f"{raw[at]:02x}{' ' if known[at] else '?'}", styles[at]) for at in span]
        pieces.append(("   " * (16 - len(span)), "dim"))
        pieces.append((f" {_ascii(raw[span.start : span.stop]):<16}  ", "dim"))
        for at in span:
            if at in begins:
                pieces.append((f"{printable(begins[at])} ", styles[at]))
        yield Line(1, pieces)


def _hex(raw: bytes, most: int = _SHOWN_BYTES) -> str:
    return raw.hex(" ") if len(raw) <= most else f"{raw[: most - 1].hex(' ')} …"


def _ascii(raw: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in raw)


class PlainWriter:
    """Writes trees without colours."""

    def __init__(self, out: TextIO, *, byte_map: bool, name_sources: bool) -> None:
        self.out = out
        self.byte_map = byte_map
        self.name_sources = name_sources

    def write(self, decoded: Decoded) -> None:
        """Write the tree of one item."""
        self.put(lines(decoded, byte_map=self.byte_map, name_sources=self.name_sources))

    def put(self, tree: Iterable[Line]) -> None:
        """Write lines."""
        for line in tree:
            text = "  " * line.depth + "".join(text for text, _ in line.pieces)
            self.out.write(text.rstrip() + "\n")

    def close(self) -> None:
        """Write what is left."""
        self.out.flush()


class TerminalWriter:
    """Draws trees in colour."""

    def __init__(self, out: TextIO, *, byte_map: bool, name_sources: bool) -> None:
        from rich.console import Console

        self.console = Console(file=out, highlight=False)
        self.byte_map = byte_map
        self.name_sources = name_sources

    def write(self, decoded: Decoded) -> None:
        """Draw the tree of one item."""
        from rich.tree import Tree

        branches: list[Tree] = []
        for line in lines(decoded, byte_map=self.byte_map, name_sources=self.name_sources):
            label = self._text(line)
            if line.depth == 0:
                branches = [Tree(label, guide_style="dim")]
            else:
                branches = [*branches[: line.depth], branches[line.depth - 1].add(label)]
        self.console.print(branches[0])

    @staticmethod
    def _text(line: Line) -> Any:  # noqa: ANN401 - a rich Text
        from rich.text import Text

        return Text.assemble(*((text, STYLES.get(style, style)) for text, style in line.pieces))

    def close(self) -> None:
        """Nothing is left."""


def writer_for(
    out: TextIO | None = None, *, byte_map: bool, name_sources: bool
) -> PlainWriter | TerminalWriter:
    """Return the writer that suits where standard output goes."""
    out = out or sys.stdout
    kind = TerminalWriter if out.isatty() else PlainWriter
    return kind(out, byte_map=byte_map, name_sources=name_sources)
