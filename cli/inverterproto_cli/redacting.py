"""Sources redacted on their way: the same chunks, fit to be shown.

What can be read twice (files, hex on the command line) is read for its secrets first, so that each
is found also where it stands before it is declared. Of standard input a command shows what comes
as it comes: there a secret is looked for from where it was first seen.

A chunk may end inside a frame; it is given once the frame is whole, with its old borders, as every
byte stays in its place. `Redacting.limit` bounds what waits for that.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click

from inverterproto.families import FAMILIES, Family, framings
from inverterproto.redact import Redactor
from inverterproto.stream import Item, StreamDecoder
from inverterproto_cli.chunk import Chunk, SourceError
from inverterproto_cli.sources import Listener, Source, read

SHORTEST_KEY = 16
MOST_STREAMS = 4096
_HELD = 16 << 20

Stream = tuple[str, str | None, str | None]


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
        self.limit = _HELD
        self._framings = framings(families)
        self._ports = ports
        self._decoders: OrderedDict[Stream, StreamDecoder] = OrderedDict()
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
                for _, items in self._decode(chunk):
                    self._learn(items)
        finally:
            for decoder in self._decoders.values():
                self._learn(decoder.flush())
            self._decoders.clear()

    def _learn(self, items: list[Item]) -> None:
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
                self._held += len(chunk.data)
                for stream, items in self._decode(chunk):
                    self._redact(stream, items)
                while self._held > self.limit:
                    self._flush(self._waiting[0].stream)
                    yield from self._give()
                yield from self._give()
        except SourceError as error:
            fault = error  # what came until then is given first
        for stream in list(self._decoders):
            self._flush(stream)
        yield from self._give()
        if fault is not None:
            raise fault

    def _decode(self, chunk: Chunk) -> Iterator[tuple[Stream, list[Item]]]:
        stream = chunk.stream
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = StreamDecoder(*self._framings)
            if len(self._decoders) > MOST_STREAMS:
                oldest, ended = self._decoders.popitem(last=False)
                yield oldest, ended.flush()
        self._decoders.move_to_end(stream)
        if chunk.gap is not None:
            yield stream, decoder.flush()
        if chunk.masked:
            yield stream, decoder.pass_over(chunk.data, chunk.masked)
        else:
            yield stream, decoder.feed(chunk.data)

    def _flush(self, stream: Stream) -> None:
        decoder = self._decoders.pop(stream, None)
        if decoder is not None:
            self._redact(stream, decoder.flush())

    def _redact(self, stream: Stream, items: list[Item]) -> None:
        ready = self._ready.setdefault(stream, bytearray())
        for item in items:
            ready += self.redactor.redact(item)
            self.frames += getattr(item, "frame", None) is not None

    def _give(self) -> Iterator[Chunk]:
        while self._waiting:
            chunk = self._waiting[0]
            size, ready = len(chunk.data), self._ready.get(chunk.stream, bytearray())
            if len(ready) < size:
                return
            self._waiting.popleft()
            self._held -= size
            data = bytes(ready[:size])
            del ready[:size]
            if not ready:
                self._ready.pop(chunk.stream, None)
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
