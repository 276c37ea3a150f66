"""Data frames as columns: the same readings as of the messages, to the last digit."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from construct import Int8ul, Int16sb, Int16ub, Int32ub, Int64ub
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts import add_layout, layout_of, remove_layout, sensor_types
from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.deye.messages import Message
from inverterproto.layout import Field, Layout, Text, measured
from inverterproto.reading import Record
from tests.vectors import frame, raw

pytest.importorskip("numpy")
from inverterproto.columns import rounded
from inverterproto.deye.columns import LEAST, blocks

MICRO, STORAGE, CLASSIC = 0x5408, 0x3026, 0x0504
OWN = 0x7E57
ODD = Layout(
    "odd",
    "Odd inverter",
    (
        *DATA_HEAD,
        Field(21, "inverter_serial", Int32ub),
        measured(25, "grid_power_l1", Int32ub, "100", bias=5),
        measured(29, "grid_power_l2", Int16sb, turned=True, absent=(0,)),
        measured(31, "grid_voltage_l1", Int16ub, "1/10"),
        measured(33, "grid_voltage_l2", Int16ub, "1/10"),
        measured(35, "pv1_voltage", Int16ub),
        measured(37, "pv1_current", Int16sb),
        measured(39, "pv1_power", Int16ub, absent=(1, 2)),
        measured(41, "pv_power", Int8ul, absent=(0,)),
        measured(42, "battery_voltage", Int16ub, "1/100"),
        measured(44, "battery_current", Int16sb, "1/100"),
        Field(46, "status", Int8ul, quantity="status", names={1: "on", 2: "off"}, absent=(9,)),
        Field(47, "phases", Int8ul, "1/10"),
    ),
    trackers="nothing",
    phases="phases",
    sensor_type=OWN,
)


@pytest.fixture(scope="module", autouse=True)
def _odd() -> Iterator[None]:
    add_layout(ODD)
    yield
    remove_layout(ODD)


def data(payload: bytes, logger: int = 2712345678) -> bytes:
    return Frame(0x4210, (1, 2), logger, payload).build()


def made(sensor_type: int, length: int, chance: random.Random) -> bytes:
    """Return a data frame of a sensor type with anything in it, often zeros and small numbers."""
    kinds = (
        lambda: chance.choice((b"\1", b"\2", b"\x09")),
        lambda: chance.randbytes(1),
        lambda: b"\0",
        lambda: b"\0\0\0" + chance.randbytes(1),
        lambda: b"\xff\xff",
    )
    rest = b""
    while len(rest) < length:
        rest += chance.choice(kinds)()
    payload = chance.choice((b"\x01", b"\x81")) + sensor_type.to_bytes(2, "little") + rest
    return data(payload[:length], chance.choice((2712345678, 2700000001)))


def told(record: Record) -> dict[str, Any]:
    return {
        "device": record.device,
        "via": record.via,
        "historic": record.historic,
        "values": {key: repr(value) for key, value in record.values.items()},
    }


def by_columns(frames: list[bytes], confidence: str) -> dict[int, dict[str, Any]]:
    """Return what blocks say of frames, by the place of the frame."""
    found: dict[int, dict[str, Any]] = {}
    for block in blocks(frames, confidence):
        for at, row in enumerate(block.rows.tolist()):
            assert row not in found
            values = {
                key: repr(column.values[at : at + 1].tolist()[0])
                for key, column in block.columns.items()
                if column.there[at]
            }
            found[row] = {
                "device": block.devices[at],
                "via": block.loggers[at],
                "historic": bool(block.historic[at]),
                "values": values,
            }
    return found


def by_messages(frames: list[bytes], confidence: str) -> dict[int, dict[str, Any]]:
    return {
        row: told(record)
        for row, each in enumerate(frames)
        for record in Message.parse(Frame.parse(each)).records(confidence)
    }


@given(
    st.sampled_from([*sensor_types(), OWN]),
    st.integers(0, 2**32),
    st.sampled_from("ABC"),
    st.data(),
)
def test_blocks_say_what_messages_say(
    sensor_type: int, seed: int, confidence: str, more: st.DataObject
) -> None:
    layout = layout_of(sensor_type)
    assert layout is not None
    length = more.draw(
        st.sampled_from([layout.size, layout.size + 3]) | st.integers(3, layout.size)
    )
    chance = random.Random(seed)
    # Many alike, so that few counts of inputs and phases make blocks.
    frames = [made(sensor_type, length, chance) for _ in range(3)] * LEAST
    frames += [made(sensor_type, length, chance) for _ in range(2 * LEAST)]
    chance.shuffle(frames)
    found, wanted = by_columns(frames, confidence), by_messages(frames, confidence)
    assert found == {row: wanted[row] for row in found}


def test_real_frames_are_in_blocks_and_say_what_they_say() -> None:
    names = ("micro-5408-realtime", "tsun-data-02b0", "solis-0504")
    frames = [raw(name) for name in names] * LEAST
    found = by_columns(frames, "B")
    assert found == by_messages(frames, "B")
    assert len(found) == len(frames)


def test_states_are_named_and_other_numbers_are_texts() -> None:
    chance = random.Random(7)
    frames = [made(OWN, ODD.size, chance) for _ in range(500)]
    said = {str(each["values"].get("status")) for each in by_columns(frames, "B").values()}
    assert said > {"'on'", "'0'", "'255'", "None"}


def test_what_is_damaged_unknown_or_another_message_is_left_to_messages() -> None:
    good = raw("micro-5408-realtime")
    payload = frame("micro-5408-realtime").payload
    broken = [
        good[:-2] + bytes((good[-2] ^ 1,)) + good[-1:],
        b"\xa4" + good[1:],
        good[:-1] + b"\x16",
        good[:1] + b"\x00\x00" + good[3:],
    ]
    others = [
        data(payload[:1] + b"\x77\x77" + payload[3:]),
        Frame(0x4310, (1, 2), 1, payload).build(),
    ]
    frames = [*broken, *others, good] * LEAST
    assert set(by_columns(frames, "B")) == set(range(6, 7 * LEAST, 7))


def test_frames_too_short_or_too_few_are_left_to_messages() -> None:
    assert by_columns([], "B") == {}
    assert by_columns([data(b"")] * LEAST + [data(b"\1\x08")] * LEAST, "B") == {}
    assert by_columns([raw("micro-5408-realtime")] * (LEAST - 1), "B") == {}


def test_frames_that_measure_nothing_are_in_no_row() -> None:
    full = frame("micro-5408-realtime").payload
    empty = full[:33] + bytes(len(full) - 33)
    frames = [data(full[:37]), data(full[:40])] * LEAST
    assert by_columns(frames, "B") == by_messages(frames, "B")
    assert by_columns([data(empty[:33])] * LEAST, "B") == {}
    some = [data(b"\1" + OWN.to_bytes(2, "little") + bytes(22 + 6) + end) for end in (b"", b"\1\0")]
    assert by_columns(some * LEAST, "B") == by_messages(some * LEAST, "B")


@pytest.mark.parametrize(
    "field",
    [
        Field(21, "status", Text(4), quantity="status"),
        Field(21, "energy", Int64ub, quantity="energy_total"),
        Field(33, "again", Int16ub, quantity="pv_power"),
        Field(33, "named", Int16ub, quantity="active_power", names={0: "off"}),
    ],
)
def test_a_layout_whose_quantities_are_no_columns_is_left_to_messages(field: Field) -> None:
    fields = (*DATA_HEAD, measured(31, "pv_power", Int16ub), field)
    layout = Layout("other", "Other", fields, sensor_type=0x7E58)
    add_layout(layout)
    try:
        chance = random.Random(1)
        frames = [made(0x7E58, layout.size, chance) for _ in range(LEAST)]
        assert by_columns(frames, "B") == {}
        assert by_messages(frames, "B")
    finally:
        remove_layout(layout)


@given(
    st.lists(st.integers(-(2**31), 2**31), min_size=1),
    st.sampled_from((1, 10, 100, 1000, 10_000, 100_000)),
    st.sampled_from((2, 4)),
)
def test_numbers_are_rounded_as_round_does(raws: list[int], scale: int, digits: int) -> None:
    import numpy as np

    values = np.array(raws) / scale
    # Halves, and what lies next to them.
    values = np.concatenate((values, values + 0.5 / 10**digits, np.nextafter(values, 0)))
    assert list(map(repr, rounded(values, digits).tolist())) == [
        repr(round(value, digits)) for value in values.tolist()
    ]
    whole = np.array(raws)
    assert rounded(whole, digits) is whole
