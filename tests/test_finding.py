"""Where a value stands that is known from elsewhere: in real frames at the place of its field."""

import struct
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.deye.layouts import MODULES
from inverterproto.errors import ProtocolError
from inverterproto.finding import MOST_PLACES, Found, find
from inverterproto.places import SCALES, Place, places
from inverterproto.samples import Samples
from inverterproto.wanted import MOST_VALUES, Interval, parse_wanted
from tests.exploring import DATA, MICRO, disguised, samples, statuses, tail
from tests.test_deye_layouts import layout, layout_for
from tests.vectors import fixtures, frame, raw

UNIX = 1_712_596_443  # 2024-04-08T17:14:03Z
MEASURED = [
    (name, field.name)
    for name in DATA
    for field in layout_for(frame(name).payload).fields
    if field.quantity is not None
]


def found(frames: Samples, *texts: str) -> list[Found]:
    return find(frames, [parse_wanted(text) for text in texts])


def places_of(frames: Samples, text: str) -> tuple[Place, ...]:
    return found(frames, text)[0].places


def readings(place: Place) -> set[tuple[str, int | None]]:
    """Return all that a place may be."""
    return {(place.type, place.offset), *place.others}


def value_of(name: str, field: str) -> object:
    payload = frame(name).payload
    return layout_for(payload).parse(payload)[field]


class TestWanted:
    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("231.4", "231.35", "231.45"),
            ("818", "817.5", "818.5"),
            ("+0.50", "0.495", "0.505"),
            ("-3", "-3.5", "-2.5"),
            ("−3", "-3.5", "-2.5"),
            ("231.4~0.5", "230.9", "231.9"),
            ("231.4±2", "229.4", "233.4"),
        ],
    )
    def test_a_number_is_rounded_as_it_is_written(self, text: str, low: str, high: str) -> None:
        assert parse_wanted(text).numbers == (Interval(Fraction(low), Fraction(high)),)

    def test_a_list_has_one_value_for_each_frame(self) -> None:
        wanted = parse_wanted("231.4, 230.95,231")
        assert (wanted.frames, wanted.decimals, wanted.texts) == (3, 2, ())

    def test_digits_alone_are_a_number_and_text(self) -> None:
        wanted = parse_wanted("2301234567")
        assert (wanted.texts, len(wanted.numbers)) == (("2301234567",), 1)
        assert parse_wanted("818").texts == ()

    def test_a_time_with_a_zone_is_turned_to_utc(self) -> None:
        here, there = (
            parse_wanted("2024-04-08T17:14:03Z"),
            parse_wanted("2024-04-08 19:14:03+02:00"),
        )
        assert here.times == there.times
        assert here.frames == 1

    def test_one_value_that_is_no_number_makes_all_of_them_text(self) -> None:
        wanted = parse_wanted("12345,ABC45")
        assert (wanted.numbers, wanted.texts) == ((), ("12345", "ABC45"))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "a value is missing"),
            ("1,,2", "a value is missing"),
            ("ab", "too short"),
            ("1,ab", "too short"),
            ("x" * 201, "too much"),
            ("1," * MOST_VALUES + "1", "too much"),
            ("2024-13-08T17:14:03", "no such time"),
            ("0001-01-01T00:00:00+14:00", "no such time"),
            ("5~5", "too wide"),
            ("0~1", "too wide"),
        ],
    )
    def test_what_cannot_be_found_is_an_error(self, text: str, problem: str) -> None:
        with pytest.raises(ProtocolError, match=problem):
            parse_wanted(text)

    def test_only_numbers_are_in_an_interval(self) -> None:
        one = parse_wanted("1").numbers[0]
        assert one.holds(1)
        assert one.holds(1.25)
        assert not any(one.holds(value) for value in (2, True, "1", None, float("nan")))

    @given(st.text(max_size=40))
    def test_any_text_is_wanted_or_an_error(self, text: str) -> None:
        try:
            wanted = parse_wanted(text)
        except ProtocolError:
            return
        assert wanted.frames >= 1


class TestRealFrames:
    @pytest.mark.parametrize(("name", "field"), MEASURED)
    def test_a_value_is_found_at_its_field(self, name: str, field: str) -> None:
        value = value_of(name, field)
        if value is None:  # "no reading" is no value
            return
        known = layout_for(frame(name).payload).by_name[field]
        got = places_of(samples(raw(name)), str(value))
        assert any(place.exact and place.name == field for place in got)
        assert got[0].exact
        (place,) = [place for place in got if place.exact and place.name == field]
        assert place.offset == known.offset
        assert place.length == known.size

    @pytest.mark.parametrize(("name", "field"), MEASURED)
    def test_so_it_is_where_the_layout_is_not_known(self, name: str, field: str) -> None:
        value = value_of(name, field)
        if value is None:
            return
        known = layout_for(frame(name).payload).by_name[field]
        alike = {kind + known.type_name[1:] for kind in "us"}
        got = places_of(samples(disguised(name)), str(value))
        assert any(
            type_ in alike and offset == known.offset and (place.scale == known.scale or not value)
            for place in got
            for type_, offset in readings(place)
        )

    def test_two_frames_leave_one_place(self) -> None:
        unknown = samples(*map(disguised, ("micro-5408-realtime", "micro-5408-historic")))
        voltage, energy, heat, frequency = found(
            unknown, "232.0,240.0", "0.9,3.3", "27.7,27.5", "50.1"
        )
        assert [(place.offset, place.type) for place in voltage.places] == [(45, "u16le")]
        assert (energy.places[0].offset, energy.places[0].type) == (33, "u16le")
        assert energy.places[0].others == (("u32le", 33), ("u24le", 33))
        assert [(place.offset, place.scale) for place in heat.places] == [(63, "1/100")]
        assert [(place.offset, place.scale) for place in frequency.places] == [(57, "1/100")]

    def test_a_value_that_is_not_the_same_in_all_frames_is_nowhere(self) -> None:
        (nothing,) = found(samples(*MICRO), "232.0")
        assert (nothing.places, nothing.total, nothing.mismatch) == ((), 0, "")

    def test_a_list_of_another_length_is_not_looked_for(self) -> None:
        (nothing,) = found(samples(*MICRO), "232.0,240.0,241.0")
        assert (nothing.places, nothing.mismatch) == ((), "3 values, 2 frames")
        assert found(samples(MICRO[0]), "1,2")[0].mismatch == "2 values, 1 frame"

    def test_a_serial_is_found_as_text_wherever_it_stands(self) -> None:
        got = places_of(samples(*MICRO), "2301234567")
        assert [(place.offset, place.name, place.exact) for place in got] == [
            (21, "inverter_serial", True),
            (159, "pv1_id", False),
            (175, "pv2_id", False),
            (191, "pv3_id", False),
            (207, "pv4_id", False),
        ]

    def test_the_clock_of_a_micro_inverter_is_found(self) -> None:
        (place,) = places_of(samples(MICRO[0]), "2024-04-08T17:09:01")
        assert (place.type, place.offset, place.name, place.exact) == (
            "clock",
            245,
            "inverter_clock",
            True,
        )

    def test_unix_seconds_are_found_at_their_field(self) -> None:
        reply = fixtures("deye")["handshake-130"]
        (place,) = places_of(samples(raw("micro-5408-realtime")), "2024-01-21T12:36:38")
        assert (place.type, place.name, place.exact) == ("unix u32le", "offset_time", True)
        assert places_of(samples(reply), "2024-01-21T12:36:38") == ()

    def test_a_mac_address_is_found_as_bytes(self) -> None:
        hello = samples(fixtures("deye")["handshake-130"])
        mac = hello.message(hello.raws[0]).fields["mac"]
        for text in (mac, mac.replace(":", "-"), mac.replace(":", "")):
            assert 59 in {place.offset for place in places_of(hello, text)}


class TestKeys:
    def test_a_value_is_found_by_its_key(self) -> None:
        frames = samples(*statuses())
        charge, serial, time = found(
            frames, "33.2,33.2,93.6", "AL2002000001234", "2021-03-24T10:01:52"
        )
        assert [(place.name, place.scale) for place in charge.places] == [("SOC", "1")]
        assert [place.name for place in serial.places] == ["SN"]
        assert time.places == ()
        (time,) = found(samples(statuses()[0]), "2021-03-24T10:01:52")
        assert [place.name for place in time.places] == ["Time"]

    def test_scale_and_sign_may_be_others(self) -> None:
        got = places_of(samples(*statuses()), "1.25,1.25,0")
        assert ("Ppv1", "1/1000", False) not in {(p.name, p.scale, p.turned) for p in got}
        one = samples(statuses()[0])
        kilowatts = {(p.name, p.scale, p.turned) for p in places_of(one, "1.250")}
        assert ("Ppv1", "1/1000", False) in kilowatts
        turned = {(p.name, p.scale, p.turned) for p in places_of(one, "688.896")}
        assert turned == {("Pbat", "1", True)}

    def test_zero_is_zero_in_one_scale(self) -> None:
        got = places_of(samples(*statuses()), "0.0")
        assert {(place.name, place.scale) for place in got} == {
            (name, "1") for name in ("PrealL2", "PrealL3", "PmeterL2", "PmeterL3")
        }

    def test_in_a_table_it_may_be_any_row(self) -> None:
        table = samples(fixtures("alphaess")["stored-records"])
        assert "Ppv1" in {place.name for place in places_of(table, "1029")}


class TestForms:
    @pytest.mark.parametrize(
        ("octets", "text", "type_", "scale", "bias"),
        [
            ("090a", "231.4", "u16be", "1/10", 0),
            ("5a62", "231.4", "u16be", "1/100", 0),
            ("0a09", "231.4", "u16le", "1/10", 0),
            ("fff6", "-10", "s16be", "1", 0),
            ("f6", "-10", "s8", "1", 0),
            ("0003e9", "100.1", "u16be", "1/10", 0),
            ("123456", "119304.6", "u24be", "1/10", 0),
            ("0001e240", "1234.56", "u24be", "1/100", 0),
            ("075bcd15", "123456.789", "u32be", "1/1000", 0),
            ("15cd5b07", "123456789", "u32le", "1", 0),
            ("000000174876e800", "100000000000", "u64be", "1", 0),
            ("0149", "3290", "u16be", "10", 0),
            ("ab21", "4380900", "u16be", "100", 0),
            ("003b", "19", "u16be", "1", 40),
            ("04b1", "20.1", "u16be", "1/10", 1000),
            ("2314", "231.4", "bcd16be", "1/10", 0),
            ("1423", "231.4", "bcd16le", "1/10", 0),
            (struct.pack(">f", 231.4).hex(), "231.4", "f32be", "1", 0),
            (struct.pack("<f", -231.4).hex(), "-231.4", "f32le", "1", 0),
            (struct.pack(">d", 231.4).hex(), "231.4", "f64be", "1", 0),
            (struct.pack("<d", 231.4).hex(), "231.4", "f64le", "1", 0),
        ],
    )
    def test_a_number_is_found_in_every_form(
        self, octets: str, text: str, type_: str, scale: str, bias: int
    ) -> None:
        around = b"\xee\xee\xee" + bytes.fromhex(octets) + b"\xee\xee\xee"
        every = places([around], parse_wanted(text))
        assert any(
            kind == type_ and (place.scale, place.bias, place.turned) == (scale, bias, False)
            for place in every
            for kind, _ in readings(place)
        )

    def test_the_other_sign_is_told(self) -> None:
        (place,) = places([b"\x01\xee\xfe\x0c\xee"], parse_wanted("500"))
        assert (place.type, place.offset, place.turned) == ("s16be", 2, True)

    def test_integers_with_their_lowest_byte_in_common_are_one_place(self) -> None:
        (place,) = [
            place
            for place in places([b"\0\0\0\x40\xee"], parse_wanted("64"))
            if (place.scale, place.bias, place.turned) == ("1", 0, False)
        ]
        assert (place.type, place.offset) == ("u16be", 2)
        assert set(place.others) == {("u8", 3), ("u24be", 1), ("u32be", 0)}

    def test_zero_is_an_integer_in_one_scale(self) -> None:
        every = places([bytes(3)], parse_wanted("0"))
        assert {place.scale for place in every} == {"1"}
        assert all(type_.startswith("u") for place in every for type_, _ in readings(place))

    def test_what_is_beyond_the_shortest_payload_is_not_in_all(self) -> None:
        assert places([b"\x09\x0a", b"\x09"], parse_wanted("2314")) == []

    def test_of_what_is_the_same_in_all_frames_one_is_looked_at_and_of_the_rest_all(self) -> None:
        payloads = [
            b"\x09\x0a\x00" + b"\x09\x0a" * (number < 3) + b"\xee\xee" * (number > 2)
            for number in range(4)
        ]
        assert {place.offset for place in places(payloads, parse_wanted("2314"))} == {0}

    @pytest.mark.parametrize(
        ("octets", "text", "type_"),
        [
            (b"ABCDE", "ABCDE", "text"),
            (b"BADCE", "ABCDE", "text, pairs swapped"),
            (bytes.fromhex("020000a1b2c3"), "02:00:00:a1:b2:c3", "bytes"),
        ],
    )
    def test_text_is_found_in_every_spelling(self, octets: bytes, text: str, type_: str) -> None:
        got = places([b"\xee" + octets], parse_wanted(text))
        assert [(place.offset, place.length, place.type) for place in got] == [
            (1, len(octets), type_)
        ]

    def test_text_of_its_own_for_each_frame_is_found(self) -> None:
        got = places([b"xABCx", b"xDEFx"], parse_wanted("ABC,DEF"))
        assert [place.offset for place in got] == [1]
        assert not places([b"xABCx", b"xxDEF"], parse_wanted("ABC,DEF"))

    @pytest.mark.parametrize(
        ("octets", "type_", "note"),
        [
            (UNIX.to_bytes(4, "big"), "unix u32be", ""),
            (UNIX.to_bytes(4, "little"), "unix u32le", ""),
            ((UNIX + 7200).to_bytes(4, "big"), "unix u32be", "+2 hours"),
            ((UNIX - 12600).to_bytes(4, "little"), "unix u32le", "-3.5 hours"),
            (bytes((24, 4, 8, 17, 14, 3)), "clock", ""),
            (bytes.fromhex("240408171403"), "clock, bcd", ""),
            (struct.pack(">6H", 2024, 4, 8, 17, 14, 3), "clock, 6 × u16be", ""),
            (struct.pack("<6H", 2024, 4, 8, 17, 14, 3), "clock, 6 × u16le", ""),
        ],
    )
    def test_a_time_is_found_in_every_form(self, octets: bytes, type_: str, note: str) -> None:
        got = places([b"\xee" + octets], parse_wanted("2024-04-08T17:14:03"))
        assert [(place.offset, place.type, place.note) for place in got] == [(1, type_, note)]

    @pytest.mark.parametrize("off", [60, 15 * 3600, 450])
    def test_a_clock_that_is_off_by_no_time_zone_is_none(self, off: int) -> None:
        wanted = parse_wanted("2024-04-08T17:14:03")
        assert not places([(UNIX + off).to_bytes(4, "big")], wanted)

    def test_a_clock_that_is_off_is_off_alike_in_all_frames(self) -> None:
        alike = [(UNIX + 7200).to_bytes(4, "big"), (UNIX + 7260).to_bytes(4, "big")]
        wanted = parse_wanted("2024-04-08T17:14:03,2024-04-08T17:15:03")
        assert [place.note for place in places(alike, wanted)] == ["+2 hours"]
        assert not places([alike[0], UNIX.to_bytes(4, "big")], wanted)

    def test_every_scale_and_bias_of_a_measured_field_is_tried(self) -> None:
        for sensor_type in MODULES:
            for field in layout(sensor_type).fields:
                if field.quantity is not None and field.type_name[0] in "us":
                    assert (field.scale, field.bias) in SCALES, field.name


class TestRanking:
    def test_neighbours_in_one_byte_order_come_first(self) -> None:
        rest = b"\xee" * 40 + struct.pack(">H", 2314) + b"\xee" * 200
        rest += struct.pack(">HHH", 2314, 5002, 777) + b"\xee" * 40
        alone, near = tail(rest), 21 + 40 + 2 + 200
        assert places_of(alone, "231.4")[0].offset == 21 + 40
        together = found(alone, "231.4", "50.02", "77.7")
        assert [each.places[0].offset for each in together] == [near, near + 2, near + 4]

    def test_a_place_that_a_known_field_has_a_byte_of_is_named(self) -> None:
        places_ = places_of(samples(raw("micro-5408-realtime")), "23.2")
        assert {(place.offset, place.name, place.exact) for place in places_} >= {
            (45, "grid_voltage_l1", False)
        }

    def test_of_very_many_places_the_best_are_told_and_all_counted(self) -> None:
        (got,) = found(tail(bytes([1]) * 2000), "1")
        assert got.total > len(got.places) == MOST_PLACES

    @settings(max_examples=40)
    @given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.integers(0, 70_000))
    def test_in_any_bytes_all_that_is_found_holds_in_all(
        self, rests: list[bytes], number: int
    ) -> None:
        frames = tail(*rests)
        for place in places_of(frames, str(number)):
            assert place.offset is not None
            for payload in frames.payloads:
                assert place.offset + place.length <= len(payload)
                if place.type.startswith(("u", "s")):
                    order = "little" if place.type.endswith("le") else "big"
                    octets = payload[place.offset : place.offset + place.length]
                    raw_ = int.from_bytes(octets, order, signed=place.type[0] == "s")  # type: ignore[arg-type]
                    value = (raw_ - place.bias) * Fraction(place.scale)
                    assert abs(value - (-number if place.turned else number)) <= Fraction(1, 2)

    def test_an_empty_payload_has_no_places(self) -> None:
        assert places([b""], parse_wanted("1")) == []
