"""What must hold for any stream, whatever is in it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

from fuzzing.inputs import Case, Family
from fuzzing.texts import check_texts
from inverterproto import decode, encode
from inverterproto.alphaess import messages as alphaess
from inverterproto.decoding import Decoded
from inverterproto.deye import messages as deye
from inverterproto.deye.commands import reply as answer
from inverterproto.errors import ProtocolError
from inverterproto.layout import Row
from inverterproto.quantity import lookup
from inverterproto.redact import Redactor
from inverterproto.stream import PIECE, Framed, Framing, Item, StreamDecoder


class BrokenError(AssertionError):
    """Something that must hold does not."""


def demand(holds: object, what: str) -> None:
    """Complain unless something holds."""
    if not holds:
        raise BrokenError(what)


def check(case: Case, families: Sequence[Family]) -> int:
    """Try a case in every way; return how many frames it held.

    Raises:
        BrokenError: something that must hold does not. Any other exception is a fault as well.
    """
    framings = [family.framing for family in families]
    items = _check_stream(case, framings)
    for framing in framings:
        _check_stream(Case(case.stream, case.cuts[::16]), [framing])
    frames = [item for item in items if isinstance(item, Framed)]
    for item in frames:
        _check_frame(item.raw, next(one for one in families if one.framing is item.framing))
    for family in families:
        _check_parse(case.stream, family)
    found = _check_decode(case.stream)
    _check_redacted(case.stream, found, keep_unknown=len(case.stream) % 2 == 0)
    wrong = check_texts(case.stream, items, framings)
    demand(wrong is None, wrong or "")
    return len(frames)


def _check_stream(case: Case, framings: Sequence[Framing]) -> list[Item]:
    """Any chunking gives the same items, which tile the stream; what is held is bounded."""
    whole = StreamDecoder(*framings)
    items = whole.feed(case.stream) + whole.flush()
    demand(b"".join(item.raw for item in items) == case.stream, "the items are not the stream")
    at = 0
    for item in items:
        demand(item.offset == at and item.raw, "the items do not follow each other")
        at += len(item.raw)
    second = whole.feed(case.stream) + whole.flush()
    alike = [(type(item), item.raw) for item in second] == [
        (type(item), item.raw) for item in items
    ]
    demand(alike and whole.offset == 2 * len(case.stream), "a flush leaves something behind")
    longest = max(getattr(framing, "longest", 0) for framing in framings)
    decoder, found = StreamDecoder(*framings), []
    ends = sorted({0, len(case.stream), *(cut for cut in case.cuts if cut < len(case.stream))})
    for start, end in pairwise(ends):
        found += decoder.feed(case.stream[start:end])
        demand(decoder.held < longest + max(longest, PIECE), "too much is held")
        demand(decoder.offset + decoder.held == end, "what is held is not what was not given")
    demand(found + decoder.flush() == items, "another chunking, other items")
    return items


def _check_frame(raw: bytes, family: Family) -> None:
    """Say all that a frame says: without a fault, without losing a byte, and back again."""
    frame = family.Frame.parse(raw)
    demand(frame.build() == raw, "the frame does not build to its bytes")
    message = family.Message.parse(frame)
    demand(repr(message) and message.name, "the message has no name")
    json.dumps(_plain(message.fields), allow_nan=False)
    demand(all(isinstance(text, str) for text in message.problems), "a problem is no text")
    _check_rows(list(message.rows(raw)), raw, family)
    for confidence in "ABC":
        for reading in message.readings(confidence):
            json.dumps(reading.to_json(), allow_nan=False)
            demand(reading.values, "a reading without values")
            for key, value in reading.values.items():
                demand(lookup(key).in_range(value), f"{key} is out of range")
    demand(message.replace({}) == frame, "changing nothing changes the frame")
    demand(message.replace(message.fields) == frame, "what it says already changes the frame")
    _check_rebuilt(message, family)


def _check_rows(rows: Sequence[Row], raw: bytes, family: Family) -> None:
    """Every row's bytes stand where it says; Deye's rows are the frame."""
    offsets = [row.offset for row in rows]
    demand(offsets == sorted(offsets), "the rows are out of order")
    for row in rows:
        found = raw[row.offset : row.offset + len(row.raw)]
        demand(found == row.raw, "a row's bytes are not the frame's")
    if family.is_deye:
        demand(b"".join(row.raw for row in rows) == raw, "the rows are not the frame")


def _check_rebuilt(message: Any, family: Family) -> None:  # noqa: ANN401 - either family's
    """Build the payload from nothing but the fields; it says the same."""
    frame = message.frame
    if family.is_deye:
        payload = deye.build_payload(frame.message_type, message.fields)
        demand(len(payload) == len(frame.payload), "rebuilt, it has another length")
        if deye.is_request(frame.message_type):
            reply = answer(frame, 1712596443)
            demand(family.Frame.parse(reply.build()) == reply, "the reply is none")
    else:
        try:
            payload = alphaess.build_payload(frame.direction, frame.command, message.fields)
        except ProtocolError:
            return  # what broken payloads say need not be writable from nothing
    fields = family.Message.parse(replace(frame, payload=payload)).fields
    demand(fields == message.fields, "rebuilt, it says something else")


def _check_parse(stream: bytes, family: Family) -> None:
    """Take any bytes as a frame: it is one that builds to them, or a ProtocolError."""
    framing = family.framing
    for data in (stream, stream[:13], stream[-40:], stream[1:]):
        try:
            frame = family.Frame.parse(data)
        except ProtocolError as error:
            demand(str(error), "an error that says nothing")
        else:
            demand(frame.build() == data, "the frame does not build to its bytes")
            if len(data) <= _longest(frame.payload, family):
                found = [item.raw for item in StreamDecoder(framing).feed(data)]
                demand(found == [data], "a frame is not found")
        with suppress(ProtocolError):
            framing.parse(data, verify=False)


def _longest(payload: bytes, family: Family) -> int:
    """Return the length up to which a frame with this payload is taken from a stream."""
    if family.is_deye or b"\0" in payload:
        return 4096
    return 65536


def _check_decode(stream: bytes) -> list[Decoded]:
    """Decode to JSON; the raw bytes of all lines are the stream, and each line encodes to them."""
    found = decode(stream)
    lines = [json.loads(json.dumps(one.to_json(), allow_nan=False)) for one in found]
    demand(bytes.fromhex("".join(line["raw"] for line in lines)) == stream, "the lines lose bytes")
    for line in lines:
        demand(encode(line).hex() == line["raw"], "encoded, it is something else")
        if line["type"] == "frame":
            _check_built(line)
    return found


def _check_redacted(stream: bytes, found: Sequence[Decoded], *, keep_unknown: bool) -> None:
    """Redact: as many bytes, and the same frames with the same values."""
    redactor = Redactor(b"a key", keep_unknown=keep_unknown)
    redacted = b"".join(redactor.redact(one.item) for one in found)
    demand(len(redacted) == len(stream), "redacted, it has another length")
    hidden = _frames(decode(redacted))
    before = _frames(found)
    if {_place(one) for one in hidden} - {_place(one) for one in before}:
        return  # what stands for junk looks, by chance, like a frame
    demand([_what(one) for one in before] == [_what(one) for one in hidden], "other messages")
    for old, new in zip(before, hidden, strict=True):
        if not old.problems:
            values = [[reading.values for reading in one.readings] for one in (old, new)]
            demand(values[0] == values[1], "other values")


def _frames(found: Sequence[Decoded]) -> list[Decoded]:
    return [one for one in found if one.message is not None]


def _place(one: Decoded) -> tuple[int, int]:
    return one.item.offset, len(one.item.raw)


def _what(one: Decoded) -> tuple[int, str, str | None]:
    return one.item.offset, one.message.name, one.message.sender  # type: ignore[union-attr]


def _check_built(line: dict[str, Any]) -> None:
    """Build a frame from header and fields alone; it says the same."""
    try:
        (built,) = decode(encode({key: line[key] for key in ("family", "header", "fields")}))
    except ProtocolError as error:
        # What broken payloads of AlphaESS say need not be writable from nothing.
        demand(line["family"] == "alphaess", f"it cannot be built: {error}")
    else:
        told = built.to_json()["fields"]
        demand(told == line["fields"], "built from what it says, it says something else")


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.hex() if isinstance(value, bytes) else value
