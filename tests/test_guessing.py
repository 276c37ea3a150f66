"""Which known layout an unknown sensor type might have: the right one comes first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.decoding import decode
from inverterproto.deye.layouts import MODULES
from inverterproto.families import ALPHAESS
from inverterproto.guessing import MOST_JUDGED, Guess, guess, outstanding
from inverterproto.samples import MOST_FRAMES, Collection, Kind, plausible_dates
from tests.exploring import DATA, HEAD, MICRO, NOW, collected, data, disguised, samples, tail
from tests.test_deye_layouts import REAL, SAID, layout
from tests.vectors import fixtures, frame, raw


def said(sensor_type: int) -> bytes:
    """Return a disguised frame of a layout without real bytes, as its source says it."""
    payload = bytearray(HEAD.ljust(layout(sensor_type).size, b"\0"))
    for offset, octets, _, _ in SAID[sensor_type]:
        there = bytes.fromhex(octets) if isinstance(octets, str) else octets
        payload[offset : offset + len(there)] = there
    return data(bytes(payload))


def reason(found: Guess, name: str) -> str:
    """Return what is said of one field."""
    return {verdict.name: verdict.reason for verdict in found.verdicts}[name]


def best(*raws: bytes) -> Guess:
    return guess(samples(*raws), NOW)[0]


class TestRanking:
    def test_every_data_fixture_is_tried(self) -> None:
        assert set(REAL) == set(DATA)

    @pytest.mark.parametrize("name", DATA)
    def test_the_layout_of_a_real_frame_in_disguise_comes_first(self, name: str) -> None:
        first, second, *_ = guess(samples(disguised(name)), NOW)
        assert first.label == f"0x{int.from_bytes(frame(name).payload[1:3], 'little'):04X}"
        assert first.score > second.score + 5
        assert first.in_range[0] >= first.in_range[1] - 1

    @pytest.mark.parametrize("sensor_type", SAID, ids=hex)
    def test_so_does_the_layout_of_a_frame_that_is_made_up_by_its_source(
        self, sensor_type: int
    ) -> None:
        assert best(said(sensor_type)).label == f"0x{sensor_type:04X}"

    def test_all_layouts_are_tried_and_the_best_comes_first(self) -> None:
        found = guess(samples(disguised("solis-0504")), NOW)
        assert {each.label for each in found} == {f"0x{known:04X}" for known in MODULES}
        assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)

    def test_zeros_speak_for_no_layout(self) -> None:
        assert max(each.score for each in guess(tail(bytes(800)), NOW)) == 0

    def test_several_frames_are_judged_together(self) -> None:
        both = best(*map(disguised, ("micro-5408-realtime", "micro-5408-historic")))
        one, other = (best(disguised(f"micro-5408-{kind}")) for kind in ("realtime", "historic"))
        assert both.score == (one.score + other.score) / 2
        assert both.in_range[1] == one.in_range[1] + other.in_range[1]
        assert both.values == other.values

    def test_of_many_frames_some_evenly_spread_are_judged(self) -> None:
        many = tail(*([bytes(4)] * (MOST_JUDGED + 1)))
        none = {each.label: each for each in guess(many)}["0x1097"]
        assert none.in_range == (0, 0)
        assert none.score == -0.5

    @settings(max_examples=60)
    @given(st.binary(max_size=900))
    def test_any_bytes_are_judged(self, rest: bytes) -> None:
        found = guess(tail(rest), NOW)
        assert len(found) == len(MODULES)
        for each in found:
            assert 0 <= each.speaking <= each.in_range[0] <= each.in_range[1]


class TestVerdicts:
    def test_what_speaks_loudest_is_told_and_what_against(self) -> None:
        found = best(disguised("micro-5408-historic"))
        for_it, against = outstanding(found)
        assert for_it[0].name == "grid_frequency"
        assert [(verdict.name, verdict.reason) for verdict in against] == [
            ("inverter_clock", "no date")
        ]

    @pytest.mark.parametrize(
        ("name", "field", "told"),
        [
            ("micro-5408-realtime", "inverter_clock", "a date"),
            ("micro-5408-realtime", "grid_frequency", "mains"),
            ("micro-5408-realtime", "grid_voltage_limit_upper", "mains"),
            ("micro-5408-realtime", "temperature_65", "no reading"),
            ("micro-5408-realtime", "pv3_voltage", "zero"),
            ("micro-5408-realtime", "mppt_count", ""),
            ("micro-5408-realtime", "energy_total: its parts add up", "right"),
            ("dcu-data-3026", "cell1_voltage", "usual"),
            ("dcu-data-3026", "battery_voltage: its parts add up", "right"),
            ("tsun-data-02b0", "pv1: voltage × current", "right"),
            ("tsun-data-02b0", "inverter_version", ""),
            ("tsun-data-02b0", "pv4_voltage", "unusual"),
            ("solis-0504", "apparent power", "right"),
        ],
    )
    def test_a_field_is_judged(self, name: str, field: str, told: str) -> None:
        assert reason(best(disguised(name)), field) == told

    @pytest.mark.parametrize(
        ("offset", "octets", "field", "told"),
        [
            (245, "ff0408110901", "inverter_clock", "no date"),
            (245, "630408110901", "inverter_clock", "a date that cannot be"),
            (245, "050408110901", "inverter_clock", "a date that cannot be"),
            (57, "1027", "grid_frequency", "no mains"),
            (57, "ffff", "grid_frequency", "impossible"),
            (21, "ff" * 10, "inverter_serial", "no text"),
            (21, "4142" + "00" * 8, "inverter_serial", "a short text"),
            (33, "ffff0000", "energy_today", "unusual"),
            (37, "ffffff00", "energy_total: its parts add up", "1.67772e+06 is not 168.8"),
        ],
    )
    def test_a_wrong_value_speaks_against_a_layout(
        self, offset: int, octets: str, field: str, told: str
    ) -> None:
        payload = bytearray(HEAD + frame("micro-5408-realtime").payload[21:])
        there = bytes.fromhex(octets)
        payload[offset : offset + len(there)] = there
        found = {each.label: each for each in guess(samples(data(bytes(payload))), NOW)}["0x5408"]
        assert reason(found, field) == told

    @pytest.mark.parametrize(("state", "told"), [(1, "a known state"), (7, "no known state")])
    def test_a_state_is_one_that_has_a_name(self, state: int, told: str) -> None:
        payload = bytearray(HEAD + frame("dcu-data-3026").payload[21:])
        payload[50] = state
        found = {each.label: each for each in guess(samples(data(bytes(payload))), NOW)}["0x3026"]
        assert reason(found, "pv1_status") == told

    def test_without_the_time_any_date_of_this_century_can_be(self) -> None:
        payload = bytearray(HEAD + frame("micro-5408-realtime").payload[21:])
        payload[245] = 99
        assert reason(guess(samples(data(bytes(payload))))[0], "inverter_clock") == "a date"

    def test_what_is_beyond_the_end_counts_against_a_layout_and_has_no_value(self) -> None:
        short = data(HEAD + frame("micro-5408-realtime").payload[21:130])
        found = {each.label: each for each in guess(samples(short), NOW)}["0x5408"]
        assert reason(found, "inverter_clock") == "beyond the end"
        assert "inverter_clock" not in found.values


class TestSamples:
    def test_frames_are_put_together_by_what_their_payloads_are(self) -> None:
        found = collected(*MICRO, *fixtures("deye").values(), *fixtures("alphaess").values())
        titles = {kind.title: len(frames.raws) for kind, frames in found.kinds.items()}
        assert titles["data 0x5408"] == 4
        assert titles["wifi sub-id 0x0C"] == 1
        assert titles["heartbeat"] == 1
        assert titles["command frame type 0x05"] == 1
        assert titles["status"] == 3

    def test_an_unknown_message_is_told_by_its_code(self) -> None:
        from inverterproto.alphaess.frame import Frame as AlphaFrame
        from inverterproto.deye.frame import Frame

        deye = Frame(0x7710, (1, 2), 1, b"abc").build()
        alpha = AlphaFrame(1, 1, 99, b'{"a":1}').build()
        assert list(collected(deye, alpha).kinds) == [
            Kind("deye", "unknown", "control code 0x7710"),
            Kind("alphaess", "unknown", "1, 99"),
        ]

    @pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x34"])
    def test_data_without_a_sensor_type_is_a_kind_of_its_own_and_no_guess(
        self, payload: bytes
    ) -> None:
        found = samples(data(payload))
        assert (found.kind.title, found.guessable) == ("data", False)

    def test_only_data_of_an_unknown_type_can_be_guessed(self) -> None:
        assert samples(disguised("solis-0504")).guessable
        assert not samples(raw("solis-0504")).guessable
        assert not samples(fixtures("alphaess")["status-1"]).guessable
        assert ALPHAESS.layouts == {}

    def test_what_is_no_frame_is_passed_over(self) -> None:
        assert not collected(b"junk").kinds

    def test_frames_beyond_a_bound_are_counted(self) -> None:
        few = Collection(most_frames=1)
        small = Collection(most_bytes=len(MICRO[0]))
        for found in decode(b"".join(MICRO)):
            few.add(found)
            small.add(found)
        assert (few.left_out, small.left_out) == (1, 1)
        assert Collection()._frames == MOST_FRAMES

    def test_a_clock_may_be_a_day_ahead(self) -> None:
        assert plausible_dates(0.0) == ("2010-01-01 00:00:00", "1970-01-02 23:59:59")
        assert plausible_dates(None)[1] == "2099-12-31 23:59:59"
