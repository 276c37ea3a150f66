"""Frames held side by side: what changes, what counts, what it reads like."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.comparing import MOST_KEYS, Comparison, compare
from inverterproto.samples import Samples
from inverterproto.stretches import Change, Stretch, change_of
from tests.exploring import MICRO, NOW, disguised, samples, statuses, tail
from tests.vectors import fixtures, frame, raw


def named(comparison: Comparison) -> dict[str | None, Stretch]:
    return {stretch.name: stretch for stretch in comparison.stretches}


def behind_the_head(*rests: bytes) -> list[Stretch]:
    """Return what unknown bytes divide into."""
    return [
        stretch
        for stretch in compare(tail(*rests), NOW).stretches
        if stretch.offset is not None and stretch.offset >= 21
    ]


def read(stretch: Stretch) -> list[tuple[str, int, object, object]]:
    return [(each.type, each.offset - 21, *each.values) for each in stretch.readings]


def words(order: str, *values: int, size: int = 2) -> list[bytes]:
    return [value.to_bytes(size, order) for value in values]  # type: ignore[arg-type]


def check_tiling(comparison: Comparison, longest: int) -> None:
    """Every byte of the longest payload is in one stretch."""
    end = 0
    for stretch in comparison.stretches:
        assert stretch.offset == end
        end += stretch.length
    assert end == longest


class TestChange:
    @pytest.mark.parametrize(
        ("values", "bits", "change"),
        [
            ([1], 8, Change.ALONE),
            ([1, 1, 1], 8, Change.SAME),
            ([1, 1, 2], 8, Change.UP),
            ([3, 1], 8, Change.CHANGES),
            ([1, 3, 2, 4], 8, Change.CHANGES),
            ([250, 255, 2, 9], 8, Change.WRAPS),
            ([250, 2, 250, 2], 8, Change.WRAPS),
            ([250, 2, 9], 8, Change.CHANGES),  # too few to tell
            ([250, 255, 2, 9], None, Change.CHANGES),
            ([250, 255, 100, 109], 8, Change.CHANGES),
            ([1.5, 2.5], None, Change.UP),
        ],
    )
    def test_it_is_told_how_values_follow(
        self, values: list[float], bits: int | None, change: Change
    ) -> None:
        assert change_of(values, bits) is change


class TestMicroInverter:
    """The real frames of one day: a live one, and one that was stored."""

    def test_known_fields_have_their_values(self) -> None:
        comparison = compare(samples(*MICRO), NOW)
        assert (comparison.frames, comparison.lengths, comparison.start) == (2, (330,), 11)
        found = named(comparison)
        energy = found["energy_total"]
        assert (energy.offset, energy.length, energy.change, energy.distinct) == (
            37,
            4,
            "goes up",
            2,
        )
        assert [(each.type, each.values) for each in energy.readings] == [("u32le", (177.5, 179.9))]
        assert found["grid_frequency"].change is Change.SAME
        assert found["offset_time"].change is Change.CHANGES
        clock = found["inverter_clock"]
        assert clock.change is Change.CHANGES
        assert clock.readings[0].values == ("2024-04-08 17:09:01", None)
        check_tiling(comparison, 330)

    def test_where_the_layout_is_not_known_numbers_are_recognised(self) -> None:
        comparison = compare(
            samples(*map(disguised, ("micro-5408-realtime", "micro-5408-historic"))), NOW
        )
        found = {
            (each.type, each.offset): each.values
            for stretch in comparison.stretches
            for each in stretch.readings
        }
        real = named(compare(samples(*MICRO), NOW))
        names = ("energy_today", "energy_total", "grid_voltage_l1", "active_power", "pv1_voltage")
        for name in names:
            field = real[name].field
            assert field is not None
            numerator, denominator = field.ratio
            first, last = (
                round(value * denominator / numerator) for value in real[name].readings[0].values
            )
            types = (field.type_name, f"u16{field.type_name[-2:]}")
            assert (first, last) in [found.get((type_, field.offset)) for type_ in types], name
        texts = {
            each.offset: each.values[0]
            for stretch in comparison.stretches
            for each in stretch.readings
            if each.type == "text"
        }
        assert texts[21] == "2301234567"
        check_tiling(comparison, 330)

    @pytest.mark.parametrize("name", sorted(fixtures("deye").keys() - {"posted-too-short"}))
    def test_a_frame_held_against_itself_is_the_same_all_through(self, name: str) -> None:
        comparison = compare(samples(raw(name), raw(name)), NOW)
        assert {stretch.change for stretch in comparison.stretches} <= {Change.SAME}
        check_tiling(comparison, len(frame(name).payload))


class TestUnknownBytes:
    def test_bytes_that_never_change_are_one_stretch(self) -> None:
        (stretch,) = behind_the_head(b"\1\0\2", b"\1\0\2")
        assert (stretch.length, stretch.change, stretch.distinct) == (3, Change.SAME, 1)
        assert stretch.readings == ()

    @pytest.mark.parametrize("order", ["big", "little"])
    def test_a_number_is_read_in_the_order_in_which_it_is_smooth(self, order: str) -> None:
        rests = [b"\0" + number + b"\xff" for number in words(order, 2300, 2310, 2299, 2330, 2306)]
        (stretch,) = [each for each in behind_the_head(*rests) if each.readings]
        assert read(stretch)[0] == (f"u16{order[0]}e", 1, 2300, 2306)
        assert stretch.change is Change.CHANGES

    def test_neighbours_are_read_apart(self) -> None:
        rests = [
            bytes(2) + b"".join(words("little", 2300 + step * 7, 1290 - step * 5)) + bytes(2)
            for step in range(8)
        ]
        found = [read(each)[0] for each in behind_the_head(*rests) if each.readings]
        assert found == [("u16le", 2, 2300, 2349), ("u16le", 4, 1290, 1255)]

    @pytest.mark.parametrize("order", ["big", "little"])
    def test_a_counter_that_carries_is_one_long_number(self, order: str) -> None:
        counts = words(order, 65_000, 65_500, 66_100, 131_000, 131_100, size=4)
        (stretch,) = [each for each in behind_the_head(*counts) if each.readings]
        assert read(stretch) == [(f"u32{order[0]}e", 0, 65_000, 131_100)]
        assert (stretch.length, stretch.change) == (4, Change.UP)

    def test_a_counter_may_wrap(self) -> None:
        counts = words("big", 65_000, 65_400, 200, 700)
        (stretch,) = behind_the_head(*counts)
        assert stretch.change is Change.WRAPS

    @pytest.mark.parametrize("order", ["big", "little"])
    def test_unix_seconds_are_recognised(self, order: str) -> None:
        times = [
            b"\0\0" + each + b"\0\0"
            for each in words(order, 1_712_596_443, 1_712_596_503, 1_712_596_563, size=4)
        ]
        readings = [each for stretch in behind_the_head(*times) for each in read(stretch)]
        assert (f"unix u32{order[0]}e", 2, 1_712_596_443, 1_712_596_563) in readings

    def test_a_time_that_is_to_come_is_no_time(self) -> None:
        times = words("little", 1_712_596_443, int(NOW) + 100_000, size=4)
        readings = [each for stretch in behind_the_head(*times) for each in read(stretch)]
        assert not any(str(type_).startswith("unix") for type_, *_ in readings)

    def test_a_clock_is_recognised_and_text(self) -> None:
        rests = [b"\xff" + bytes((24, 4, 8, 17, minute, 3)) + b"V1.2.3" for minute in (9, 10)]
        first, clock, text = behind_the_head(*rests)
        assert first.change is Change.SAME
        assert read(clock) == [("clock", 1, "2024-04-08 17:09:03", "2024-04-08 17:10:03")]
        assert (clock.length, clock.change) == (6, Change.CHANGES)
        assert read(text) == [("text", 7, "V1.2.3", "V1.2.3")]

    @pytest.mark.parametrize(
        "octets", ["050408110901", "630408110901", "180231110901", "18040811093d"]
    )
    def test_what_is_no_date_or_a_date_that_cannot_be_is_no_clock(self, octets: str) -> None:
        date = bytes.fromhex(octets)
        found = behind_the_head(date, date)
        assert not any(each.readings for each in found)

    def test_of_dates_that_overlap_the_first_is_taken(self) -> None:
        clock, rest = behind_the_head(bytes([11] * 7), bytes([11] * 7))
        assert read(clock)[0][0] == "clock"
        assert (rest.length, rest.readings) == (1, ())

    def test_a_byte_without_room_beside_it_is_a_byte(self) -> None:
        (stretch,) = behind_the_head(b"\1", b"\2")
        assert read(stretch) == [("u8", 0, 1, 2)]
        assert stretch.change is Change.UP

    def test_frames_may_differ_in_length(self) -> None:
        comparison = compare(tail(b"\1\2", b"\1\2\3\4", b"\1\2\3\5\6"), NOW)
        assert comparison.lengths == (23, 25, 26)
        end = [
            (each.offset, each.length, each.frames, each.change) for each in comparison.stretches
        ]
        assert end[-3:] == [
            (21, 2, 3, Change.SAME),
            (23, 2, 2, Change.UP),
            (25, 1, 1, Change.ALONE),
        ]

    def test_a_field_that_only_some_frames_have_is_told_of_those(self) -> None:
        short, long = raw("handshake-86"), raw("handshake-130")
        comparison = compare(samples(short, long), NOW)
        assert named(comparison)["hardware_version"].change is Change.ALONE
        check_tiling(comparison, 130)

    def test_the_body_of_a_command_is_compared_byte_by_byte(self) -> None:
        names = ("modbus-read-request", "modbus-micro-request")
        comparison = compare(samples(*map(raw, names)), NOW)
        assert any(stretch.name is None and stretch.readings for stretch in comparison.stretches)

    def test_without_the_time_any_date_of_this_century_may_be_a_clock(self) -> None:
        date = bytes((99, 4, 8, 17, 9, 1))
        assert any(
            s.readings and s.readings[0].type == "clock"
            for s in compare(tail(date, date)).stretches
        )

    @settings(max_examples=100)
    @given(st.lists(st.binary(max_size=70), min_size=1, max_size=6))
    def test_any_frames_are_compared_and_every_byte_is_told(self, rests: list[bytes]) -> None:
        frames = tail(*rests)
        comparison = compare(frames, NOW)
        check_tiling(comparison, 21 + max(map(len, rests)))
        for stretch in comparison.stretches:
            assert stretch.offset is not None
            end = stretch.offset + stretch.length
            there = [
                payload[stretch.offset : end] for payload in frames.payloads if len(payload) >= end
            ]
            assert stretch.frames == len(there)
            assert (stretch.distinct == 1) == (stretch.change in (Change.SAME, Change.ALONE))
            assert stretch.distinct == len(set(there))
            if stretch.name is None and stretch.change is Change.UP:
                order = "little" if stretch.readings[0].type.endswith("le") else "big"
                first = stretch.readings[0]
                at, width = first.offset, int("".join(filter(str.isdigit, first.type))) // 8
                series = [
                    int.from_bytes(payload[at : at + width], order)  # type: ignore[arg-type]
                    for payload in frames.payloads
                    if len(payload) >= end
                ]
                if not first.type.startswith("unix"):
                    assert all(one <= other for one, other in pairwise(series))


class TestKeys:
    def test_the_values_of_each_key_are_compared(self) -> None:
        found = named(compare(samples(*statuses()), NOW))
        assert found["SOC"].ends == (33.2, 93.6)
        assert (found["SOC"].change, found["SOC"].frames, found["SOC"].distinct) == (
            "goes up",
            3,
            2,
        )
        assert found["SN"].change is Change.SAME
        assert found["Time"].change is Change.CHANGES
        assert found["PrealL2"].change is Change.SAME

    def test_each_row_of_a_table_is_a_value(self) -> None:
        table = fixtures("alphaess")["stored-records"]
        found = named(compare(samples(table, table), NOW))
        assert found["Ppv1"].frames == 2 * 3
        assert found["columns"].frames == 2

    def test_a_key_may_change_its_type_or_come_once(self) -> None:
        found = named(
            compare(alpha(b'{"a":1,"b":true}', b'{"a":"x","b":false}', b'{"a":2,"c":1}'), NOW)
        )
        assert (found["a"].change, found["a"].distinct) == (Change.CHANGES, 3)
        assert found["b"].ends == ("True", "False")
        assert found["c"].change is Change.ALONE

    def test_keys_beyond_a_bound_are_counted(self) -> None:
        keys = ",".join(f'"k{number}":{number}' for number in range(MOST_KEYS + 7))
        comparison = compare(alpha(f"{{{keys}}}".encode()), NOW)
        assert (len(comparison.stretches), comparison.left_out) == (MOST_KEYS, 7)


def alpha(*payloads: bytes) -> Samples:
    """Return AlphaESS frames of an unknown kind."""
    return samples(*(AlphaFrame(1, 1, 99, payload).build() for payload in payloads))
