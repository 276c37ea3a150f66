"""What a command says on standard error of what it decoded."""

from collections import Counter

import click

from inverterproto.decoding import Decoded
from inverterproto_cli.chunk import Chunk

MOST_COMPLAINTS = 20
MOST_TYPES = 5
"""So many unknown sensor types are named."""


class Summary:
    """Counts what was decoded, and complains of what could not be."""

    def __init__(
        self,
        *,
        quiet: bool,
        name_sources: bool,
        in_tree: bool,
        verbose: bool = False,
        hints: bool = True,
        noun: str = "frame",
    ) -> None:
        self.hints = hints
        self.quiet = quiet
        self.verbose = verbose
        self.name_sources = name_sources
        self.noun = noun  # what is counted
        self.in_tree = in_tree  # the reader sees what is unframed there, and need not be told twice
        self.names: Counter[str] = Counter()
        self.problems = 0
        self.runs = 0
        self.run_bytes = 0
        self.complaints = 0
        self.undated = 0
        self.guessable: set[str] = set()

    def add(self, decoded: Decoded) -> None:
        """Count one item."""
        if decoded.message is not None:
            self.names[decoded.message.name] += 1
            if decoded.problems:
                self.problems += len(decoded.problems)
                self._note_unknown(decoded)
            self.undated += sum(
                reading.time is None and reading.family == "alphaess"
                for reading in decoded.readings
            )
            return
        self.runs += 1
        self.run_bytes += len(decoded.item.raw)
        if not self.in_tree:
            self._complain_of(decoded)

    def _note_unknown(self, decoded: Decoded) -> None:
        """Keep the sensor types that a layout could be tried on."""
        family = decoded.family
        if family is None or len(self.guessable) >= MOST_TYPES or not self.hints:
            return
        if family.is_guessable(decoded.message):
            self.guessable.add(family.detail(decoded.message))

    def complain(self, complaint: str) -> None:
        """Say what could not be read, though the rest could."""
        self.problems += 1
        self._say(complaint)

    def complain_of_gap(self, chunk: Chunk) -> None:
        """Say how many bytes are missing before a chunk, if any are."""
        if chunk.gap is not None and chunk.gap.missing:
            size = count_of(chunk.gap.missing, "byte")
            place = chunk.place(name_source=self.name_sources)
            self.complain(f"{size} missing before offset {chunk.gap.offset}{place}")

    def note(self, note: str) -> None:
        """Say how a text was read, where that is asked for."""
        from inverterproto_cli.show import printable

        if self.verbose:
            click.echo(printable(note), err=True)

    def _say(self, complaint: str) -> None:
        from inverterproto_cli.show import printable

        self.complaints += 1
        if self.complaints <= MOST_COMPLAINTS and not self.quiet:
            click.echo(printable(complaint), err=True)

    def _complain_of(self, decoded: Decoded) -> None:
        from inverterproto_cli.show import item_reason

        item = decoded.item
        chunk = decoded.origin
        where = chunk.place(name_source=self.name_sources) if isinstance(chunk, Chunk) else ""
        size = count_of(len(item.raw), "byte")
        self._say(f"no {self.noun} in {size} at {item.offset}{where}: {item_reason(decoded)}")

    @property
    def frames(self) -> int:
        """How many frames there were."""
        return sum(self.names.values())

    def close(self) -> None:
        """Say it all on standard error."""
        if self.quiet:
            return
        if self.complaints > MOST_COMPLAINTS:
            click.echo(f"… and {self.complaints - MOST_COMPLAINTS:,} more complaints", err=True)
        kinds = ", ".join(f"{count} {name}" for name, count in self.names.most_common())
        parts = [
            f"{count_of(self.frames, self.noun)}: {kinds}" if kinds else f"no {self.noun} found"
        ]
        if self.runs:
            runs = "" if self.runs == 1 else f" in {self.runs:,} runs"
            parts.append(f"{count_of(self.run_bytes, 'byte')} unframed{runs}")
        if self.problems:
            parts.append(count_of(self.problems, "problem"))
        if unknown := self.names["unknown"]:
            parts.append(f"{count_of(unknown, 'message')} of unknown type")
        click.echo("; ".join(parts), err=True)
        if self.guessable:
            types = ", ".join(sorted(self.guessable))
            are = "type {} is" if len(self.guessable) == 1 else "types {} are"
            line = f"sensor {are.format(types)} not known: --guess tries the known layouts"
            click.echo(line, err=True)
        if self.undated:
            click.echo(
                f"{count_of(self.undated, 'reading')} without a time: "
                "--clock-offset tells how far the battery's clock is from UTC",
                err=True,
            )


def count_of(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
