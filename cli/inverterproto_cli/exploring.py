"""What helps to understand a device that nobody knows: `decode --guess`, `--diff` and `--find`.

Each is a writer as that of a tree or of JSON lines: it collects the frames that are decoded, kind
by kind, and at the end says what the library makes of them: `guessing.py`, `comparing.py`,
`finding.py`. Tables are drawn by rich on a terminal, and are plain columns elsewhere.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from inverterproto.decoding import Decoded, plain
from inverterproto.errors import ProtocolError
from inverterproto.samples import MOST_FRAMES, Collection, Samples
from inverterproto_cli.show import printable
from inverterproto_cli.summary import count_of

if TYPE_CHECKING:
    from inverterproto.comparing import Comparison
    from inverterproto.finding import Found
    from inverterproto.guessing import Guess
    from inverterproto.places import Place
    from inverterproto.stretches import Reading, Stretch
    from inverterproto.wanted import Wanted

MOST_GUESSES = 5
MOST_PLACES = 20
"""So many places of a value are shown; JSON has all that the library gives."""
MOST_WANTED = 20
_SHOWN_BYTES = 8
_SHOWN_TEXT = 48
_match_with_unit = re.compile(r"([+\-−]?[0-9]+(?:\.[0-9]+)?) ?(?:[%°]?[A-Za-z]{1,4}|%)$").match
_match_comma = re.compile(r"([+\-−]?[0-9]+),([0-9]+)$").match
_STYLES = {"points": "green", "field": "bold", "does": "yellow", "verdict": "dim"}


class Table(NamedTuple):
    """What is shown of one kind.

    Attributes:
        title: a line above it.
        columns: their names; those of numbers begin with `>`.
        rows: the cells.
        notes: lines below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


class _Writer:
    """Collects frames, and writes tables or JSON lines of them at the end."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.collection = Collection(MOST_FRAMES)
        self.now = time()
        self.as_json = as_json
        self.quiet = quiet

    def write(self, decoded: Decoded) -> None:
        """Take in one item."""
        self.collection.add(decoded)

    def close(self) -> None:
        """Write what is to say of all frames."""
        left_out = self.collection.left_out
        if left_out:
            self.say(f"too many frames: the last {left_out:,} are left out")
        for samples in self.collection.kinds.values():
            self.explore(samples)
        sys.stdout.flush()

    def explore(self, samples: Samples) -> None:
        """Write what is to say of the frames of one kind."""
        raise NotImplementedError

    def say(self, line: str) -> None:
        """Say on standard error what is no data."""
        if not self.quiet:
            click.echo(printable(line), err=True)

    def put(self, table: Table) -> None:
        """Write a table."""
        if sys.stdout.isatty():
            _draw(table)
        else:
            sys.stdout.writelines(f"{line.rstrip()}\n" for line in _plain_lines(table))

    def put_json(self, samples: Samples, kind: str, shown: dict[str, Any]) -> None:
        """Write one object as a line."""
        head = {
            "type": kind,
            "family": samples.kind.family,
            "name": samples.kind.name,
            "detail": samples.kind.detail,
            "frames": len(samples.raws),
        }
        sys.stdout.write(json.dumps(head | shown, separators=(",", ":")) + "\n")


def explorer(
    form: str | None,
    *,
    guess: bool,
    diff: bool,
    find: Sequence[str],
    byte_map: bool,
    redact: bool,
    quiet: bool,
) -> _Writer:
    """Return the writer that options ask for.

    Raises:
        UsageError: they do not go together.
    """
    given = [name for name, on in (("--guess", guess), ("--diff", diff), ("--find", find)) if on]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: one at a time.")
    if form == "csv" or byte_map:
        other = "--csv" if form == "csv" else "--raw"
        raise click.UsageError(f"{given[0]} has a form of its own: leave {other} out.")
    as_json = form == "json"
    if guess:
        if as_json:
            raise click.UsageError("--guess is for the eye only: there is no JSON of it.")
        return _Guesses(as_json=False, quiet=quiet)
    if diff:
        return _Comparisons(as_json=as_json, quiet=quiet)
    if redact:
        raise click.UsageError("--find shows what it looks for: it cannot be redacted.")
    return _Findings(_wanted(find), as_json=as_json, quiet=quiet)


def _wanted(texts: Sequence[str]) -> "list[Wanted]":
    from inverterproto.wanted import parse_wanted

    if len(texts) > MOST_WANTED:
        raise click.UsageError(f"--find: at most {MOST_WANTED} at a time.")
    try:
        return [parse_wanted(text) for text in texts]
    except ProtocolError as error:
        raise click.UsageError(f"--find: {printable(str(error))}") from error


def _title(samples: Samples) -> str:
    lengths = sorted({len(payload) for payload in samples.payloads})
    size = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    frames = count_of(len(samples.raws), "frame")
    unit = "byte" if size == "1" else "bytes"
    return f"{samples.kind.title}  {samples.family.title}  {frames}, payload {size} {unit}"


def _offsets_note(samples: Samples) -> str:
    return f"offsets count in the payload; in the frame they are {samples.start} more"


# Guessing


class _Guesses(_Writer):
    def close(self) -> None:
        """Write the guesses, or say why there are none."""
        super().close()
        kinds = self.collection.kinds.values()
        if not kinds or any(samples.guessable for samples in kinds):
            return
        if any(samples.kind.name == "unknown" for samples in kinds):
            self.say("no layouts to try on a message of unknown type: --diff and --find may help")
        elif all(samples.family.textual for samples in kinds):
            self.say("nothing to guess: these payloads are text, and name their values themselves")
        else:
            self.say("nothing to guess: there is no data of an unknown sensor type")

    def explore(self, samples: Samples) -> None:
        """Write which layouts might fit, and what the best would say."""
        if not samples.guessable:
            return
        from inverterproto.guessing import guess

        guesses = guess(samples, self.now)
        fitting = [each for each in guesses if each.score > 0]
        others = len(guesses) - len(fitting[:MOST_GUESSES])
        notes = [f"{count_of(others, 'layout')} more, which fit worse or not at all"]
        columns = (">points", "in range", ">telling", "sensor type", "layout", "for", "against")
        rows = [_guess_row(each) for each in fitting[:MOST_GUESSES]]
        self.put(Table(_title(samples), columns, rows, notes))
        if fitting:
            self.put(_best_table(fitting[0]))


def _guess_row(guess: "Guess") -> list[str]:
    from inverterproto.guessing import outstanding

    possible, told = guess.in_range
    told_of = [
        ", ".join(f"{verdict.name} ({verdict.reason})" for verdict in verdicts) or "–"
        for verdicts in outstanding(guess)
    ]
    return [
        f"{guess.score:.1f}",
        f"{possible} of {told}",
        str(guess.speaking),
        guess.label,
        guess.layout.title,
        *told_of,
    ]


def _best_table(guess: "Guess") -> Table:
    """Return what the fields would say."""
    rows = []
    for verdict in guess.verdicts:
        field = guess.layout.by_name.get(verdict.name)
        place, value = "", ""
        if field is not None:
            place = str(field.offset)
            if field.name in guess.values:
                value = _with_unit(guess.values[field.name], field.symbol)
        points = f"{verdict.points:+g}" if verdict.points else "0"
        rows.append([place, verdict.name, value, points, verdict.reason])
    title = f"If it were {guess.label} {guess.layout.title}, a guess, the last frame would say:"
    return Table(title, (">offset", "field", "value", ">points", "verdict"), rows)


# Comparing


class _Comparisons(_Writer):
    def explore(self, samples: Samples) -> None:
        """Write what changes from frame to frame."""
        if len(samples.raws) < 2:
            self.say(f"{samples.kind.title}: one frame, and nothing to compare it with")
            return
        from inverterproto.comparing import compare

        comparison = compare(samples, self.now)
        if self.as_json:
            for stretch in comparison.stretches:
                self.put_json(samples, "diff", _stretch_json(stretch))
        else:
            self.put(_comparison_table(samples, comparison))
        if comparison.left_out:
            self.say(f"{samples.kind.title}: {comparison.left_out:,} keys more are left out")


def _comparison_table(samples: Samples, comparison: "Comparison") -> Table:
    if samples.family.textual:
        columns: tuple[str, ...] = ("key", ">values", ">different", "does", "first → last")
        rows = [
            [
                _text(stretch.name),
                str(stretch.frames),
                str(stretch.distinct),
                stretch.change,
                _ends(stretch.ends),
            ]
            for stretch in comparison.stretches
        ]
        return Table(_title(samples), columns, rows)
    columns = (">offset", ">bytes", ">different", "does", "first → last", "reads like", "field")
    rows = [_stretch_row(stretch, comparison.frames) for stretch in comparison.stretches]
    return Table(_title(samples), columns, rows, [_offsets_note(samples)])


def _stretch_row(stretch: "Stretch", frames: int) -> list[str]:
    unit = stretch.field.symbol if stretch.field is not None else ""
    readings = "; ".join(_reading_text(each, stretch, unit) for each in stretch.readings)
    missing = "" if stretch.frames == frames else f" (in {stretch.frames})"
    return [
        str(stretch.offset),
        str(stretch.length),
        str(stretch.distinct),
        f"{stretch.change}{missing}",
        _ends(stretch.ends),
        readings,
        stretch.name or "",
    ]


def _reading_text(reading: "Reading", stretch: "Stretch", unit: str) -> str:
    at = f" at {reading.offset}" if reading.offset != stretch.offset else ""
    first, last = reading.values
    if first == last:
        return f"{reading.type}{at} {_with_unit(first, unit)}"
    return f"{reading.type}{at} {_text(first)} → {_with_unit(last, unit)}"


def _ends(ends: tuple[Any, Any]) -> str:
    first, last = map(_text, ends)
    return first if ends[0] == ends[1] else f"{first} → {last}"


def _stretch_json(stretch: "Stretch") -> dict[str, Any]:
    field = stretch.field
    return {
        "offset": stretch.offset,
        "length": stretch.length,
        "field": stretch.name,
        "unit": field.symbol or None if field is not None else None,
        "values": stretch.frames,
        "different": stretch.distinct,
        "change": str(stretch.change),
        "first": plain(stretch.ends[0]),
        "last": plain(stretch.ends[1]),
        "readings": [
            {
                "encoding": reading.type,
                "offset": reading.offset,
                "first": plain(reading.values[0]),
                "last": plain(reading.values[1]),
            }
            for reading in stretch.readings
        ],
    }


# Finding


class _Findings(_Writer):
    def __init__(self, wanted: "list[Wanted]", *, as_json: bool, quiet: bool) -> None:
        super().__init__(as_json=as_json, quiet=quiet)
        self.wanted = wanted
        self.mismatched = self.searched = False

    def explore(self, samples: Samples) -> None:
        """Write where the values stand."""
        from inverterproto.finding import find

        for found in find(samples, self.wanted):
            if found.mismatch:
                self.say(f"{found.kind.title}: {found.wanted.text}: {found.mismatch}")
                self.mismatched = True
                self.hint(found.wanted.text)
                continue
            self.searched = True
            if not found.places:
                self.hint(found.wanted.text)
            if self.as_json:
                for place in found.places:
                    self.put_json(samples, "find", _place_json(found, place))
            else:
                self.put(_found_table(samples, found))

    def hint(self, text: str) -> None:
        """Say what may be wrong with a value that is nowhere."""
        if number := _match_with_unit(text):
            self.say(f"{text}: looked for as text; leave the unit out: {number[1]}")
        elif number := _match_comma(text):
            self.say(
                f"{text}: looked for as two values; with a decimal point: {number[1]}.{number[2]}"
            )

    def close(self) -> None:
        """Write what was found; a list that fits no kind at all is no search."""
        super().close()
        if self.mismatched and not self.searched:
            raise click.ClickException("--find: a list needs one value for each frame of a kind")


def _found_table(samples: Samples, found: "Found") -> Table:
    title = f"{printable(found.wanted.text)} in {_title(samples)}"
    shown = found.places[:MOST_PLACES]
    if not shown:
        return Table(f"{title}: nowhere", (), ())
    notes = [] if samples.family.textual else [_offsets_note(samples)]
    if found.total > len(shown):
        notes.append(f"{count_of(found.total - len(shown), 'place')} more, less likely")
    if samples.family.textual:
        rows = [[_text(place.name), _how(place)] for place in shown]
        return Table(title, ("key", "how"), rows)
    rows = [
        [str(place.offset), place.type, _how(place), _others(place), _field(place)]
        for place in shown
    ]
    return Table(title, (">offset", "type", "how", "or", "field"), rows, notes)


def _how(place: "Place") -> str:
    parts = []
    if place.bias:
        parts.append(f"(raw − {place.bias})")
    if place.scale != "1":
        parts.append(f"× {place.scale}")
    if place.turned:
        parts.append("other sign")
    if place.note:
        parts.append(place.note)
    return " ".join(parts)


def _others(place: "Place") -> str:
    return ", ".join(f"{type_} at {offset}" for type_, offset in place.others)


def _field(place: "Place") -> str:
    if place.name is None:
        return ""
    return place.name if place.exact else f"in {place.name}"


def _place_json(found: "Found", place: "Place") -> dict[str, Any]:
    return {
        "sought": found.wanted.text,
        "offset": place.offset,
        "length": place.length,
        "encoding": place.type,
        "scale": place.scale,
        "bias": place.bias,
        "turned": place.turned,
        "note": place.note,
        "others": [{"encoding": type_, "offset": offset} for type_, offset in place.others],
        "field": place.name,
        "exact": place.exact,
        "score": round(place.score, 1),
    }


# Tables


def _text(value: Any) -> str:  # noqa: ANN401 - any value of a field
    """Return a value as text that fits a cell."""
    if isinstance(value, bytes):
        raw = value[:_SHOWN_BYTES].hex(" ")
        if len(value) <= _SHOWN_BYTES:
            return raw
        return f"{len(value)} × 00" if not any(value) else f"{raw} …"
    text = "none" if value is None else printable(str(value))
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"


def _with_unit(value: Any, unit: str) -> str:  # noqa: ANN401 - any value of a field
    return _text(value) if value is None else f"{_text(value)} {unit}".rstrip()


def _plain_lines(table: Table) -> Iterator[str]:
    yield table.title
    names = [column.removeprefix(">") for column in table.columns]
    lines: Iterable[Sequence[str]] = [names, *table.rows] if table.rows else []
    widths = [max(map(len, cells)) for cells in zip(names, *table.rows, strict=True)]
    for cells in lines:
        yield "  " + "  ".join(
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(cells, widths, table.columns, strict=True)
        )
    for note in table.notes:
        yield f"  {note}"


def _draw(table: Table) -> None:
    """Draw a table on a terminal."""
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    console.print(Text(table.title, style="bold"))
    if table.rows:
        drawn = Drawn(box=None, header_style="dim", padding=(0, 1))
        for column in table.columns:
            name = column.removeprefix(">")
            justify: Any = "right" if column != name else "left"
            drawn.add_column(name, justify=justify, style=_STYLES.get(name, ""), overflow="fold")
        for row in table.rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
    for note in table.notes:
        console.print(Text(f"  {note}", style="dim"))
