"""`decode --payload` and `decode --modbus`: bytes without a frame around them.

A source is one payload, payloads of one size one behind another, JSON objects in lines of text, or
Modbus messages one behind another. Where it is text, it is tried in every form of dump (and, of a
family whose payloads are text, as it is), and the reading is taken that says most: of the kind that
was asked for, without problems, of the right length; of Modbus, with the most messages whose CRC is
right.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import time

import click

from inverterproto.bare import PayloadMessage, decode_modbus, decode_payload, family_of_kind
from inverterproto.decoding import Decoded
from inverterproto.errors import FieldError
from inverterproto.families import FAMILIES, framings
from inverterproto.hexdump import Piece, Whole, readings
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.chunk import Chunk, SourceError
from inverterproto_cli.sources import Listener, Source, read_whole

MOST = 1 << 20
"""Bytes of a source: the longest payload in the longest spelling has far less."""
HEAD = 3
"""Bytes at the beginning of a V5 payload that tell its kind."""
LEAST = 4
"""Bytes that make text of the command line worth trying."""


@dataclass(frozen=True, slots=True)
class Bare:
    """Decodes sources that are bytes without a frame.

    Attributes:
        kind: the payload's kind; None for Modbus messages.
        confidence: the least confidence of fields that become readings.
        clock_offset: a battery's clock minus UTC, where it is known.
    """

    kind: str | None
    confidence: str = "B"
    clock_offset: float | None = None

    @property
    def noun(self) -> str:
        """What is decoded, in a word."""
        return "Modbus message" if self.kind is None else "payload"

    def holds(self, text: str) -> bool:
        """Return whether an argument of the command line is text with bytes in it."""
        return any(len(one.piece.data) >= LEAST for one in self._candidates(text))

    def read(self, source: Source, listener: Listener) -> Iterator[Chunk]:
        """Yield all of a source in the reading that says most, each payload as one chunk.

        Raises:
            SourceError: it cannot be read, or holds no bytes, or more than a payload has.
        """
        data, text = read_whole(source, MOST)
        listener.progress(source.size or 0)
        if text is not None and self._is_textual and (objects := _objects(text)):
            listener.note(f"{source.name}: read as text")
            yield from (Chunk(source.name, one) for one in objects)
            return
        found = [Whole("binary", Piece(data))] if text is None else self._candidates(text)
        if not found:
            raise SourceError(f"{source.name}: holds no bytes in any form")
        try:
            best = max(found, key=lambda one: self._rate(one.piece.data))  # of equals the first
        except FieldError as error:
            raise SourceError(f"{source.name}: no {self.noun}: {error}") from error
        listener.note(f"{source.name}: read as {best.form}")
        if best.piece.masked:
            count = len(best.piece.masked)
            listener.complain(f"{source.name}: masked bytes, taken for 00: {count}")
        items = StreamDecoder(*framings()).feed(best.piece.data)
        if items and isinstance(items[0], Framed):
            listener.complain(f"{source.name}: this is a whole frame, no bare {self.noun}")
        yield from (Chunk(source.name, one) for one in self._parts(best.piece.data))

    def feed(self, chunk: Chunk) -> Iterator[Decoded]:
        """Decode a source."""
        yield from self._decoded(chunk.data, chunk._replace(data=b""))

    def end(self) -> Iterator[Decoded]:
        """Give nothing: no source goes on."""
        return iter(())

    def finish(self) -> Iterator[Decoded]:
        """Give nothing: each payload is dated alone."""
        return iter(())

    @property
    def _is_textual(self) -> bool:
        return self.kind is not None and family_of_kind(self.kind)[0].textual

    def _parts(self, data: bytes) -> list[bytes]:
        """Return payloads of one size that all begin alike each by itself.

        Real ones may be longer than their layout: where the head comes again tells the size.
        """
        message = self._decoded(data)[0].message if self.kind is not None else None
        if not isinstance(message, PayloadMessage):
            return [data]
        if message.expected_size <= HEAD:
            return [data]
        size = data.find(data[:HEAD], message.expected_size)
        if size < 0 or len(data) % size:
            return [data]
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        return parts if all(part[:HEAD] == data[:HEAD] for part in parts) else [data]

    def _candidates(self, text: str) -> list[Whole]:
        found = readings(text)
        if self._is_textual:
            as_it_is = text.strip().encode("utf-8", "surrogateescape")
            found.append(Whole("text", Piece(as_it_is)))
        return found

    def _decoded(self, data: bytes, origin: Chunk | None = None) -> Sequence[Decoded]:
        if self.kind is None:
            return decode_modbus(data, origin=origin)
        offset, confidence = self.clock_offset, self.confidence
        return [
            decode_payload(
                self.kind,
                data,
                clock_offset=offset,
                confidence=confidence,
                now=time(),
                origin=origin,
            )
        ]

    def _rate(self, data: bytes) -> tuple[int, ...]:
        """Return how much speaks for a reading of the text: more is better.

        Where nothing does, all are alike, and the strongest form is taken.
        """
        found = self._decoded(data)
        message = found[0].message
        if not isinstance(message, PayloadMessage):
            messages = [one for one in found if one.is_frame]
            unframed = len(data) - sum(len(one.item.raw) for one in messages)
            problems = sum(len(one.problems) for one in messages)
            return len(messages), -problems, -unframed * bool(messages)
        if message.doubts:
            return -len(message.doubts), 0, 0
        problems = len(message.inner.find_problems(self.confidence))
        return 0, -problems, len(data) == message.expected_size


def _objects(text: str) -> list[bytes]:
    """Return the JSON objects of a text: all of it, or one in each line, whatever is around it."""
    whole = text.strip()
    if _is_object(whole):
        return [whole.encode("utf-8", "surrogateescape")]
    found = (line[line.find("{") : line.rfind("}") + 1] for line in text.split("\n") if "{" in line)
    return [one.encode("utf-8", "surrogateescape") for one in found if _is_object(one)]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def bare_of(
    kind: str | None,
    confidence: str,
    clock_offset: float | None,
    senseless: Mapping[str, object],
) -> Bare:
    """Return what decodes payloads of a kind, or Modbus messages.

    Args:
        kind: of the payload, or None for Modbus.
        confidence: the least confidence of fields that become readings.
        clock_offset: a battery's clock minus UTC, where it is known.
        senseless: options that make no sense with that, and whether they are given.

    Raises:
        UsageError: one is given, or the kind is not known.
    """
    option = "--modbus" if kind is None else "--payload"
    for other, given in senseless.items():
        if given is not None and given is not False:
            raise click.UsageError(f"{option} and {other} do not go together.")
    if kind is not None:
        try:
            decode_payload(kind, b"")
        except FieldError as error:
            raise click.UsageError(f"--payload {kind}: {_guidance(kind)}") from error
    return Bare(kind, confidence, clock_offset)


def _guidance(kind: str) -> str:
    """Return what to write instead of a kind that is not known."""
    try:
        decode_payload(f"0x{kind}", b"")
    except FieldError:
        names = [f"{name}:" + f", {name}:".join(FAMILIES[name].message_names) for name in FAMILIES]
        types = "sensor types (0x5408) and names, as `inverterproto layout list` shows them"
        numbers = "numbers of control codes and commands (deye:0x4210, alphaess:16)"
        return "\n".join(["no known kind. Known are", types, numbers, *names])
    return f"no known kind: did you mean 0x{kind}?"
