"""Every real AlphaESS frame says what its fixture says that it says, expectation by expectation."""

import json
from typing import Any

import pytest

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.frame import FRAMING, Frame, header_fields
from inverterproto.alphaess.messages import Message, build_payload
from inverterproto.reading import Record
from inverterproto.stream import StreamDecoder, Unframed
from tests.vectors import FIXTURES, fixtures

RAW = fixtures("alphaess")
SAID: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((FIXTURES / "alphaess").rglob("*.json"))
}
VALID = sorted(name for name, said in SAID.items() if said["valid"])
INVALID = sorted(SAID.keys() - set(VALID))


def message(name: str) -> Message:
    return Message.parse(Frame.parse(RAW[name]))


def shown(record: Record) -> dict[str, Any]:
    """Return a record as fixtures tell it."""
    stamp = record.stamp
    return {
        "device": record.device,
        "historic": record.historic,
        "kind": record.kind,
        "stamp": stamp,
    }


def test_every_frame_has_its_expectation() -> None:
    assert RAW.keys() == SAID.keys()
    assert len(VALID) == 21
    assert all(said["what"] and said["source"] for said in SAID.values())


@pytest.mark.parametrize("name", VALID)
def test_the_envelope_is_as_told(name: str) -> None:
    expected = SAID[name]["expect"]["header"]
    assert header_fields(RAW[name]) == expected
    assert message(name).header == expected


@pytest.mark.parametrize("name", VALID)
def test_name_sender_and_device_are_as_told(name: str) -> None:
    expect = SAID[name]["expect"]
    found = message(name)
    assert (found.name, found.sender, found.device) == (
        expect["name"],
        expect["from"],
        expect["device"],
    )


@pytest.mark.parametrize("name", VALID)
def test_the_fields_are_as_told_and_in_order(name: str) -> None:
    # Compared as text, so that 0 is not 0.0, 1 is not true, and the order counts.
    assert json.dumps(message(name).fields) == json.dumps(SAID[name]["expect"]["fields"])


@pytest.mark.parametrize("name", VALID)
def test_the_problems_are_as_told(name: str) -> None:
    assert list(message(name).problems) == SAID[name]["expect"]["problems"]


@pytest.mark.parametrize("name", VALID)
def test_the_readings_are_as_told_no_more_and_no_less(name: str) -> None:
    expected = SAID[name]["expect"]["readings"]
    records = message(name).records()
    assert [dict(record.values) for record in records] == [told["values"] for told in expected]
    stamps = [told["stamp"] and parse_stamp(told["stamp"]) for told in expected]
    assert [shown(record) for record in records] == [
        {"device": t["device"], "historic": t["historic"], "kind": t["kind"], "stamp": stamp}
        for t, stamp in zip(expected, stamps, strict=True)
    ]
    readings = [reading.to_json() for reading in message(name).readings()]
    assert [(found["time"], found["time_source"]) for found in readings] == [
        (told["time"], told["time_source"]) for told in expected
    ]


@pytest.mark.parametrize("name", VALID)
def test_a_frame_builds_to_its_own_bytes(name: str) -> None:
    found = message(name)
    frame = found.frame
    assert frame.build() == RAW[name]
    assert found.replace({}).build() == RAW[name]
    payload = build_payload(frame.direction, frame.command, found.fields, onto=frame.payload)
    assert payload == frame.payload


@pytest.mark.parametrize("name", VALID)
def test_a_frame_built_from_the_told_fields_says_them(name: str) -> None:
    frame = message(name).frame
    fields = SAID[name]["expect"]["fields"]
    payload = build_payload(frame.direction, frame.command, fields)
    built = Message.parse(Frame(1, frame.direction, frame.command, payload))
    assert json.dumps(built.fields) == json.dumps(fields)


@pytest.mark.parametrize("name", INVALID)
def test_what_is_no_frame_is_told_why(name: str) -> None:
    expect = SAID[name]["expect"]["unframed"]
    decoder = StreamDecoder(FRAMING)
    (item,) = decoder.feed(RAW[name]) + decoder.flush()
    assert isinstance(item, Unframed)
    assert item.reason == expect["reason"]
    assert f"expected {expect['expected']}, found {expect['found']}" in item.detail
    assert item.tentative == Frame.parse(RAW["status-1"])
