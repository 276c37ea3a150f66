"""Sources redacted on their way: the same chunks, fit to be shown.

What can be read twice (files, hex on the command line) is read for its secrets first, so that each
is found also where it stands before it is declared. Of standard input a command shows what comes
as it comes: there a secret is looked for from where it was first seen.

A chunk may end inside a frame; it is given once the frame is whole, with its old borders, as every
byte stays in its place. Unframed bytes wait for what follows them, as a secret may lie across.
`Redacting.limit` bounds what waits.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click

from inverterproto.families import FAMILIES, Family, framings
from inverterproto.redact import AROUND, Redactor
from inverterproto.stream import Framed, Item, StreamDecoder, Unframed
from inverterproto_cli.chunk import Chunk, SourceError, Stream
from inverterproto_cli.sources import Listener, Source, read

SHORTEST_KEY = 16
MOST_STREAMS = 4096
_HELD = 16 << 20
_OF_A_CHUNK = 256
"""Bytes that a chunk takes beside its data, so that also empty ones are bounded."""


class _Lane:
    """What is held of one stream.

    Attributes:
        decoder: finds its items.
        last: the unframed bytes that wait for what follows them.
        before: what was unframed just before these.
    """

    __slots__ = ("before", "decoder", "last")

    def __init__(self, decoder: StreamDecoder) -> None:
        self.decoder = decoder
        self.last: Unframed | None = None
        self.before = b""


def key_from(path: str | None) -> bytes:
    """Return the key in a file, or a random one."""
    if path is None:
        return os.urandom(32)
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"key {path}: {error.strerror}") from error
    if len(key) < SHORTEST_KEY:
        raise click.UsageError(f"key {path}: less than {SHORTEST_KEY} bytes")
    return key


class Redacting:
    """Redacts chunks of several streams.

    Args:
        key_file: holds the key of the stand-ins; a random one if it is None.
        families: that are looked for.
        keep_unknown: leave text of unknown meaning as it is.
        ports: whose connections, in a capture from the network, are given even without a frame.
    """

    def __init__(
        self,
        key_file: str | None,
        families: Iterable[Family] = FAMILIES.values(),
        *,
        keep_unknown: bool = False,
        ports: Iterable[int] = (),
    ) -> None:
        self.redactor = Redactor(key_from(key_file), keep_unknown=keep_unknown)
        self.frames = 0
        self.once = 0  # bytes that were read only once
        self.masked = 0
        self.limit = _HELD
        self._framings = framings(families)
        self._lanes: OrderedDict[Stream, _Lane] = OrderedDict()
        self._ports = ports
        self._ready: dict[Stream, bytearray] = {}
        self._waiting: deque[Chunk] = deque()
        self._held = 0
        self._labels: dict[str, str] = {}

    def nameless(self, sources: list[Source]) -> list[Source]:
        """Return sources by other names, as a path may tell one, too; and learn from them."""
        sources = [
            source._replace(name=f"input {number}") for number, source in enumerate(sources, 1)
        ]
        for source in sources:
            if source.size is not None:
                with suppress(SourceError):  # it is complained of when it is shown
                    self.learn(source)
        return sources

    def learn(self, source: Source) -> None:
        """Read a source for its secrets alone."""
        try:
            for chunk in read(source, looked_for=self._framings, ports=self._ports):
                self._label(chunk)
                self._learn(self._decode(chunk))
                if len(self._lanes) > MOST_STREAMS:
                    self._learn(self._lanes.popitem(last=False)[1].decoder.flush())
        finally:
            for lane in self._lanes.values():
                self._learn(lane.decoder.flush())
            self._lanes.clear()

    def _learn(self, items: Iterable[Item]) -> None:
        for item in items:
            self.redactor.learn(item)

    def read(
        self,
        source: Source,
        listener: Listener = Listener(),  # noqa: B008 - it is frozen
    ) -> Iterator[Chunk]:
        """Yield the chunks of a source, redacted."""
        fault: SourceError | None = None
        try:
            for chunk in read(source, listener, self._framings, self._ports):
                self._waiting.append(chunk)
                self._held += len(chunk.data) + _OF_A_CHUNK
                self.once += len(chunk.data) if source.size is None else 0
                self.masked += len(chunk.masked)
                self._redact(chunk.stream, self._decode(chunk))
                if len(self._lanes) > MOST_STREAMS:
                    self._end(next(iter(self._lanes)))
                while self._held > self.limit:
                    self._end(self._waiting[0].stream)
                    yield from self._give()
                yield from self._give()
        except SourceError as error:
            fault = error  # what came until then is given first
        for stream in list(self._lanes):
            self._end(stream)
        yield from self._give()
        if fault is not None:
            raise fault

    def _decode(self, chunk: Chunk) -> list[Item]:
        lane = self._lanes.get(chunk.stream)
        if lane is None:
            lane = self._lanes[chunk.stream] = _Lane(StreamDecoder(*self._framings))
        self._lanes.move_to_end(chunk.stream)
        if chunk.gap is not None:
            return [*lane.decoder.flush(), *lane.decoder.feed(chunk.data)]
        if chunk.masked:
            return lane.decoder.pass_over(chunk.data, chunk.masked)
        return lane.decoder.feed(chunk.data)

    def _end(self, stream: Stream) -> None:
        """Redact all that is held of a stream."""
        lane = self._lanes.get(stream)
        if lane is not None:
            self._redact(stream, lane.decoder.flush())
            self._redact_last(stream, lane, b"")
            del self._lanes[stream]
        if not self._ready.get(stream):
            self._ready.pop(stream, None)

    def _redact(self, stream: Stream, items: list[Item]) -> None:
        lane, ready = self._lanes[stream], self._ready.setdefault(stream, bytearray())
        for item in items:
            if isinstance(item, Framed):
                self._redact_last(stream, lane, b"")
                ready += self.redactor.redact(item)
                self.frames += 1
                lane.before = b""
            else:
                self._redact_last(stream, lane, item.raw)
                lane.last = item

    def _redact_last(self, stream: Stream, lane: _Lane, after: bytes) -> None:
        """Redact the unframed bytes that waited for what follows."""
        if lane.last is not None:
            raw = lane.last.raw
            self._ready[stream] += self.redactor.redact(lane.last, lane.before, after[:AROUND])
            lane.before = (lane.before + raw)[-AROUND:]
            lane.last = None

    def _give(self) -> Iterator[Chunk]:
        while self._waiting:
            chunk = self._waiting[0]
            size, ready = len(chunk.data), self._ready.setdefault(chunk.stream, bytearray())
            if len(ready) < size:
                return
            self._waiting.popleft()
            self._held -= size + _OF_A_CHUNK
            data = bytes(ready[:size])
            del ready[:size]
            sender = chunk.sender if chunk.sender in ("device", "cloud") else None
            yield chunk._replace(data=data, connection=self._label(chunk), sender=sender)

    def _label(self, chunk: Chunk) -> str | None:
        name = chunk.connection
        if name is None:
            return None
        label = self._labels.get(name)
        if label is None:
            label = self.redactor.label(name)
            if len(self._labels) < MOST_STREAMS:
                self._labels[name] = label
        return label

    def say(self) -> None:
        """Say on standard error what was replaced, and what could not be judged."""
        replaced = sorted(self.redactor.replaced.items())
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in replaced)
        click.echo(f"replaced or blanked: {kinds or 'nothing'}", err=True)
        for what, count in sorted(self.redactor.unjudged.items()):
            if count:
                click.echo(f"not judged: {count:,} {what}", err=True)
        if self.once:
            told = "only from where a secret was first seen: standard input is read once"
            click.echo(f"looked through {self.once:,} bytes {told}", err=True)
