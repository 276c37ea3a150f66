"""The real micro-inverter frame: bytes → checksum verified → all fields in engineering units."""

import contextlib
from collections.abc import Iterator
from typing import Any

from benchmarks import node, peers, plan
from benchmarks.frames import micro_inverter
from benchmarks.measure import Effort, Line, Timer, at_least, at_most, compare, timer
from inverterproto.deye.commands import reply
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message, build_payload

TITLE = "The micro-inverter's frame (343 bytes) to all its fields"

OURS = "ours: Message.parse(Frame.parse(raw)).fields"
CONSTRUCT = "construct as usually written"
PER_FIELD = "int.from_bytes field by field"
PLAN = "two structs and a template, by hand"
NODE = "Node"
KAITAI = "Kaitai's class"
UNTOUCHED = "ours: Message.parse(Frame.parse(raw)), converted when asked for"
FRAME = "ours: Frame.parse(raw)"
BUILD = "ours: payload and frame built from the fields"
CONSTRUCT_BUILD = "construct, the same"
REPLY = "ours: the 23-byte reply to it"


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    raw = micro_inverter()
    frame = Frame.parse(raw)
    fields = Message.parse(frame).fields
    declared = peers.construct_frame()
    per_field_parse = peers.per_field_parser()
    kaitai = peers.kaitai_class()

    def build() -> bytes:
        payload = build_payload(frame.message_type, fields)
        return Frame(frame.control_code, frame.sequence, frame.logger_serial, payload).build()

    ours = (frame.control_code, *frame.sequence, frame.logger_serial, fields)
    parsed = declared.parse(raw)
    _same(CONSTRUCT, peers.construct_result(parsed), ours)
    _same(PER_FIELD, per_field_parse(raw), ours)
    _same(PLAN, plan.parse(raw), ours)
    _same(KAITAI, peers.kaitai_result(kaitai.from_bytes(raw)), ours)
    values = {"body": {"value": parsed.body.value}}
    if not build() == declared.build(values) == raw:
        raise AssertionError("what is built is not what was parsed")

    contenders: dict[str, Timer] = {
        OURS: timer(lambda: Message.parse(Frame.parse(raw)).fields),
        CONSTRUCT: timer(lambda: declared.parse(raw)),
        PER_FIELD: timer(lambda: per_field_parse(raw)),
        PLAN: timer(lambda: plan.parse(raw)),
        KAITAI: timer(lambda: kaitai.from_bytes(raw)),
        UNTOUCHED: timer(lambda: Message.parse(Frame.parse(raw))),
        FRAME: timer(lambda: Frame.parse(raw)),
        BUILD: timer(build),
        CONSTRUCT_BUILD: timer(lambda: declared.build(values)),
        REPLY: timer(lambda: reply(frame, 1_700_000_000).build()),
    }
    command = node.find()
    with contextlib.ExitStack() as stack:
        if command is not None:
            process = stack.enter_context(node.Node(command))
            _same(NODE, _node_result(process.ask(f"show {raw.hex()}")), _jsonable(ours))
            contenders[NODE] = process.timer(raw)
        samples = compare(contenders, effort)

    yield samples.line(OURS, OURS)
    yield samples.line(CONSTRUCT, OURS, at_least(25))
    yield samples.line(PER_FIELD, OURS, at_least(3))
    yield samples.line(PLAN, OURS, at_most(1.3))
    if command is None:
        yield Line(NODE, None, goal=at_most(1.1), note="not found")
    else:
        yield samples.line(NODE, OURS, note="converts all fields at once")
    yield samples.line(KAITAI, OURS, note="raw values, no checksum")
    yield samples.line(UNTOUCHED, UNTOUCHED)
    if command is not None:
        line = samples.line(NODE, UNTOUCHED, at_most(1.1))
        yield line._replace(what="Node, which converts at once, against that")
    yield samples.line(FRAME, FRAME)
    yield samples.line(BUILD, BUILD)
    yield samples.line(CONSTRUCT_BUILD, BUILD)
    yield samples.line(REPLY, REPLY)


def _same(name: str, found: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    """Complain where a peer finds something else than we do."""
    *envelope, values = found
    *expected_envelope, expected_values = expected
    wrong = [
        f"{key}: {values.get(key)!r}, not {expected_values.get(key)!r}"
        for key in {**expected_values, **values}
        if (key in values, values.get(key)) != (key in expected_values, expected_values.get(key))
    ]
    if envelope != expected_envelope or wrong:
        raise AssertionError(f"{name} finds {envelope}, not {expected_envelope}; {wrong}")


def _node_result(answer: dict[str, Any]) -> tuple[Any, ...]:
    return (answer["control_code"], *answer["sequence"], answer["logger_serial"], answer["fields"])


def _jsonable(result: tuple[Any, ...]) -> tuple[Any, ...]:
    *envelope, values = result
    plain = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()
    }
    return (*envelope, plain)
