"""What was decoded as JSON, one object a line: the contract of `docs/json.md`."""

import json
from typing import TextIO

from inverterproto.decoding import Decoded
from inverterproto_cli.chunk import Chunk


class JsonWriter:
    """Writes one JSON object a line."""

    def __init__(self, out: TextIO, *, name_sources: bool) -> None:
        self.out = out
        self.name_sources = name_sources
        self._encode = json.JSONEncoder(separators=(",", ":")).encode

    def write(self, decoded: Decoded) -> None:
        """Write one item."""
        shown = decoded.to_json()
        chunk = decoded.origin
        if isinstance(chunk, Chunk):
            if self.name_sources:
                shown["input"] = chunk.source
            if chunk.connection is not None or decoded.at is not None:
                shown |= {"at": decoded.at, "connection": chunk.connection}
            if shown.get("from") is None and chunk.sender is not None:
                shown["from"] = chunk.sender
            if chunk.held:
                shown["held"] = True
        self.out.write(self._encode(shown) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self.out.flush()
