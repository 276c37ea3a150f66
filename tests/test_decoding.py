"""From bytes to readings with their times: in order, nothing lost, dated also after the fact."""

import gc
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inverterproto
from inverterproto.alphaess import dates as alphaess_dates
from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.decoding import Dates, Decoded, Decoder, decode, plain
from inverterproto.deye import dates as deye_dates
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.families import DEYE
from inverterproto.reading import Dated, Record, TimeSource
from inverterproto.stream import Reason
from tests.vectors import AT_TEXT, BARE_MODBUS, BROKEN, CLIENT_HELLO, VALID, fixtures, frame, raw

REALTIME, HISTORIC = raw("micro-5408-realtime"), raw("micro-5408-historic")
HEARTBEAT = raw("heartbeat")
ALPHA = fixtures("alphaess")
STATUS, STORED = ALPHA["status-1"], ALPHA["stored-records"]
AHEAD = 11 * 3600.0  # the clock of the battery of these fixtures, on Australian summer time
STATUS_TIME = 1_616_540_512.0  # 2021-03-23T23:01:52Z
ARRIVAL = 1_712_596_445.0  # 2024-04-08T17:14:05Z, two seconds after REALTIME
DEVICE, CORRECTED, ESTIMATED, BY_ARRIVAL, UNKNOWN = TimeSource


def damaged(data: bytes, at: int = 100) -> bytes:
    """Return a frame with one bit wrong."""
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def data_frame(
    working: int, on: int, offset: int, *, logger: int = 2712345678, historic: bool = False
) -> bytes:
    """Return the real data frame with other times, from another logger perhaps."""
    message = Message(frame("micro-5408-realtime"))
    changed = message.replace(
        {
            "frame_type": 0x81 if historic else 0x01,
            "total_working_time": working,
            "power_on_time": on,
            "offset_time": offset,
        }
    )
    return Frame(changed.control_code, changed.sequence, logger, changed.payload).build()


# A logger that was switched on at 2024-04-08T16:59:30Z and got the time with its third frame.
SWITCHED_ON = 6_754_972
OFFSET = 1_705_840_598
UNDATED = [data_frame(SWITCHED_ON + on, on, 0) for on in (60, 360)]
DATING = data_frame(SWITCHED_ON + 660, 660, OFFSET)


def told(items: Iterable[Decoded]) -> list[tuple[int, str | None]]:
    """Return the offsets of items and the sources of their times."""
    return [
        (item.item.offset, next((str(one.time_source) for one in item.readings), None))
        for item in items
    ]


class TestOneShot:
    def test_a_real_frame_gives_its_reading(self) -> None:
        (found,) = decode(REALTIME)
        assert found.is_frame
        assert found.dated
        assert found.family is DEYE
        (reading,) = found.readings
        assert (reading.device, reading.time, reading.time_source) == (
            "2301234567",
            ARRIVAL - 2,
            DEVICE,
        )
        assert reading.values["active_power"] == 4

    @pytest.mark.parametrize("name", VALID)
    def test_every_fixture_is_one_frame(self, name: str) -> None:
        (found,) = decode(raw(name))
        assert found.is_frame
        assert found.item.raw == raw(name)
        assert found.tentative is None

    @pytest.mark.parametrize("name", sorted(ALPHA.keys() - {"bad-crc"}))
    def test_every_alphaess_fixture_is_one_frame_too(self, name: str) -> None:
        (found,) = decode(ALPHA[name])
        assert found.is_frame
        assert found.item.raw == ALPHA[name]

    def test_stored_records_give_a_reading_each(self) -> None:
        (found,) = decode(STORED, clock_offset=AHEAD)
        assert [reading.to_json()["time"] for reading in found.readings] == [
            "2021-03-23T22:40:59Z",
            "2021-03-23T22:42:00Z",
            "2021-03-23T22:43:00Z",
        ]
        assert {(one.historic, one.time_source) for one in found.readings} == {(True, CORRECTED)}

    def test_without_its_clock_s_offset_a_battery_s_readings_have_no_time(self) -> None:
        found = decode(STATUS + STORED)
        assert {one.time_source for item in found for one in item.readings} == {UNKNOWN}
        assert all(item.dated for item in found)

    def test_of_mixed_bytes_each_kind_is_named_in_its_place(self) -> None:
        data = HEARTBEAT + AT_TEXT + REALTIME + STATUS + BARE_MODBUS
        data += damaged(HISTORIC) + ALPHA["bad-crc"] + STORED + HEARTBEAT[:9]
        found = decode(data)
        assert b"".join(one.item.raw for one in found) == data
        assert [
            one.message.name if one.message is not None else getattr(one.item, "reason", None)
            for one in found
        ] == [
            "heartbeat",
            Reason.AT_TEXT,
            "data",
            "status",
            Reason.MODBUS,
            Reason.CHECKSUM,
            Reason.CHECKSUM,
            "stored_records",
            Reason.TRUNCATED,
        ]

    def test_the_public_name_is_the_function(self) -> None:
        assert inverterproto.decode is decode

    def test_nothing_holds_nothing(self) -> None:
        assert decode(b"") == []

    def test_only_the_family_asked_for_is_looked_for(self) -> None:
        assert [one.is_frame for one in decode(HEARTBEAT, family="alphaess")] == [False]
        assert [one.is_frame for one in decode(HEARTBEAT, family="deye")] == [True]

    def test_a_family_that_there_is_not_is_told(self) -> None:
        with pytest.raises(ValueError, match="there are deye, alphaess"):
            decode(HEARTBEAT, family="growatt")

    def test_a_guess_is_published_only_where_it_is_asked_for(self) -> None:
        def keys(confidence: str) -> set[str]:
            ((reading,),) = (
                one.readings for one in decode(raw("solis-0504"), confidence=confidence)
            )
            return set(reading.values)

        assert keys("C") - keys("B") == {"apparent_power", "reactive_power"}
        assert keys("A") <= keys("B") < keys("C")

    def test_however_many_wait_for_a_later_frame_they_are_dated(self) -> None:
        many = 2 * inverterproto.decoding.HELD_BACK
        undated = [data_frame(SWITCHED_ON + on, on, 0) for on in range(many)]
        found = decode(b"".join(undated) + data_frame(SWITCHED_ON + many, many, OFFSET))
        sources = {one.readings[0].time_source for one in found[:-1]}
        assert sources == {CORRECTED}


def test_what_was_decoded_is_freed_without_the_garbage_collector() -> None:
    data = (REALTIME + HEARTBEAT + b"\r\n") * 100
    decode(data)
    gc.collect()
    gc.disable()
    try:
        decode(data)
        assert gc.collect() < 100
    finally:
        gc.enable()


pieces = st.one_of(
    st.sampled_from(
        [HEARTBEAT, REALTIME, HISTORIC, UNDATED[0], DATING, AT_TEXT, BARE_MODBUS, CLIENT_HELLO]
    ),
    st.sampled_from([damaged(HEARTBEAT, 9), damaged(REALTIME), REALTIME[:50], raw(BROKEN)]),
    st.sampled_from([STATUS, STORED, ALPHA["keep-alive"], ALPHA["bad-crc"], STORED[:999]]),
    st.binary(max_size=40),
)


@given(st.lists(pieces, max_size=8), st.integers(1, 400))
def test_what_is_decoded_put_together_is_the_input_and_times_are_in_order(
    parts: list[bytes], size: int
) -> None:
    data = b"".join(parts)
    decoder = Decoder()
    found = [
        item for at in range(0, len(data), size) for item in decoder.feed(data[at : at + size])
    ]
    found += decoder.finish()
    assert b"".join(one.item.raw for one in found) == data
    offset = 0
    for one in found:
        assert one.item.offset == offset
        offset += len(one.item.raw)
        json.dumps(one.to_json())
    assert [one.to_json() for one in found] == [one.to_json() for one in decode(data)]


@given(st.binary())
def test_any_bytes_are_decoded(data: bytes) -> None:
    found = decode(data)
    assert b"".join(bytes.fromhex(one.to_json()["raw"]) for one in found) == data


class TestJson:
    def test_a_real_frame_is_told_as_the_contract_has_it(self) -> None:
        (shown,) = (one.to_json() for one in decode(REALTIME))
        assert list(shown) == [
            "type",
            "offset",
            "length",
            "family",
            "name",
            "from",
            "device",
            "header",
            "fields",
            "readings",
            "problems",
            "raw",
        ]
        assert json.loads(json.dumps(shown)) == shown
        assert shown["fields"]["unknown_41"] == "00000000"

    def test_an_unframed_run_is_told_as_the_contract_has_it(self) -> None:
        (shown,) = (one.to_json() for one in decode(b"\r\n"))
        assert shown == {
            "type": "unframed",
            "offset": 0,
            "length": 2,
            "reason": "junk",
            "raw": "0d0a",
        }

    def test_what_fits_in_all_but_its_checksum_is_tentative_and_has_no_readings(self) -> None:
        wrong = damaged(REALTIME, 70)  # active_power: 5 W
        (found,) = decode(wrong)
        shown = found.to_json()
        assert shown["type"] == "unframed"
        assert shown["reason"] == "bad checksum at offset 341: expected 0x51, found 0x50"
        assert list(shown["tentative"]) == [
            "family",
            "name",
            "from",
            "device",
            "header",
            "fields",
            "problems",
        ]
        assert shown["tentative"]["header"]["checksum"] == 0x50
        assert shown["tentative"]["fields"]["active_power"] == 5
        assert list(shown)[-1] == "raw"
        assert found.readings == []
        assert found.tentative is not None

    def test_a_truncated_frame_is_not_tentative(self) -> None:
        (found,) = decode(REALTIME[:-1])
        assert found.tentative is None
        assert "tentative" not in found.to_json()
        assert found.to_json()["reason"] == (
            "incomplete frame at offset 0: expected 343 bytes, found 342"
        )

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (1.5, 1.5),
            (None, None),
            (True, True),
            ("x", "x"),
            (b"\x01\xff", "01ff"),
            ([b"\x01", [2]], ["01", [2]]),
            ((1, b"\x02"), [1, "02"]),
            ({"a": b"\x01", "b": {"c": (b"",)}, "d": 4}, {"a": "01", "b": {"c": [""]}, "d": 4}),
        ],
    )
    def test_bytes_become_hex_wherever_they_stand(self, value: object, shown: object) -> None:
        assert plain(value) == shown


class TestDatingAfterTheFact:
    def test_what_is_undated_is_held_back_with_all_that_follows(self) -> None:
        decoder = Decoder([DEYE])
        assert told(decoder.feed(HEARTBEAT)) == [(0, None)]
        assert told(decoder.feed(UNDATED[0] + HEARTBEAT + b"\r\n" + UNDATED[1])) == []
        assert told(decoder.feed(DATING)) == [
            (14, "device-corrected"),
            (357, None),
            (371, None),
            (373, "device-corrected"),
            (716, "device"),
        ]

    def test_the_end_gives_what_no_frame_dated(self) -> None:
        decoder = Decoder([DEYE])
        assert told(decoder.feed(UNDATED[0])) == []
        assert told(decoder.flush()) == []
        assert told(decoder.finish()) == [(0, "unknown")]
        assert told(decoder.finish()) == []

    def test_flush_gives_up_waiting_for_bytes_but_not_for_times(self) -> None:
        decoder = Decoder([DEYE])
        assert told(decoder.feed(UNDATED[0] + b"\xa5\x01")) == []
        assert told(decoder.flush()) == []
        assert told(decoder.feed(DATING)) == [
            (0, "device-corrected"),
            (343, None),
            (345, "device"),
        ]

    def test_beyond_the_limit_what_waits_is_given_as_it_is(self) -> None:
        decoder = Decoder([DEYE], dates=Dates(limit=2))
        assert told(decoder.feed(UNDATED[0])) == []
        assert told(decoder.feed(HEARTBEAT)) == []
        assert told(decoder.feed(HEARTBEAT)) == [(0, "unknown"), (343, None), (357, None)]
        assert told(decoder.feed(UNDATED[1])) == []
        assert told(decoder.feed(DATING)) == [(371, "device-corrected"), (714, "device")]

    def test_the_limit_counts_what_is_unframed_too(self) -> None:
        decoder = Decoder([DEYE], dates=Dates(limit=0))
        assert told(decoder.feed(UNDATED[0])) == [(0, "unknown")]
        assert told(decoder.feed(b"\r\n" + HEARTBEAT)) == [(343, None), (345, None)]

    def test_until_it_is_given_a_reading_has_an_unknown_time(self) -> None:
        dates = Dates()
        decoder = Decoder([DEYE], dates=dates)
        assert list(decoder.feed(UNDATED[0])) == []
        (waiting,) = dates._queue
        assert not waiting.dated
        assert [one.time_source for one in waiting.readings] == [UNKNOWN]

    def test_the_neighbour_boot_dates_a_stored_record(self) -> None:
        (_, stored) = decode(REALTIME + HISTORIC)
        (reading,) = stored.readings
        assert reading.to_json()["time"] == "2024-04-09T15:44:46Z"
        assert (reading.historic, reading.time_source) == (True, ESTIMATED)


class TestArrivals:
    def test_a_live_frame_without_the_time_takes_its_arrival_after_a_minute(self) -> None:
        decoder = Decoder([DEYE])
        assert told(decoder.feed(UNDATED[0], ARRIVAL)) == []
        assert told(decoder.feed(HEARTBEAT, ARRIVAL + 59)) == []
        found = list(decoder.feed(HEARTBEAT, ARRIVAL + 60))
        assert told(found) == [(0, "arrival"), (343, None), (357, None)]
        assert found[0].at == found[0].readings[0].time == ARRIVAL

    def test_what_is_unframed_lets_time_pass_too(self) -> None:
        decoder = Decoder([DEYE])
        assert told(decoder.feed(UNDATED[0], ARRIVAL)) == []
        assert told(decoder.feed(b"\r\n" + HEARTBEAT, ARRIVAL + 60)) == [
            (0, "arrival"),
            (343, None),
            (345, None),
        ]

    def test_streams_of_one_capture_date_each_other(self) -> None:
        dates = Dates()
        first = Decoder([DEYE], dates=dates, origin="first")
        second = Decoder([DEYE], dates=dates, origin="second")
        assert list(first.feed(UNDATED[0], ARRIVAL)) == []
        found = list(second.feed(HEARTBEAT + DATING, ARRIVAL + 1))
        assert [(one.origin, one.at) for one in found] == [
            ("first", ARRIVAL),
            ("second", ARRIVAL + 1),
            ("second", ARRIVAL + 1),
        ]
        assert told(found) == [(0, "device-corrected"), (0, None), (14, "device")]

    def test_loggers_do_not_date_each_other(self) -> None:
        decoder = Decoder([DEYE])
        other = data_frame(SWITCHED_ON + 660, 660, OFFSET, logger=2712345679)
        assert told(decoder.feed(UNDATED[0])) == []
        assert told(decoder.feed(other)) == []
        assert told(decoder.finish()) == [(0, "unknown"), (343, "device")]


class TestBatteries:
    def test_stored_records_wait_until_a_status_tells_the_clock(self) -> None:
        decoder = Decoder()
        assert list(decoder.feed(STORED, STATUS_TIME - 60)) == []
        assert list(decoder.feed(HEARTBEAT, STATUS_TIME - 1)) == []
        stored, _, live = decoder.feed(STATUS, STATUS_TIME)
        assert [reading.to_json()["time"] for reading in stored.readings] == [
            "2021-03-23T22:40:59Z",
            "2021-03-23T22:42:00Z",
            "2021-03-23T22:43:00Z",
        ]
        assert [reading.time for reading in live.readings] == [STATUS_TIME]

    def test_a_live_status_is_dated_when_it_comes(self) -> None:
        (live,) = Decoder().feed(STATUS, STATUS_TIME + 3)
        (reading,) = live.readings
        assert (reading.time, reading.time_source) == (STATUS_TIME + 3, CORRECTED)

    def test_what_stays_undated_is_given_at_the_end(self) -> None:
        decoder = Decoder()
        assert list(decoder.feed(STORED, STATUS_TIME)) == []
        (stored,) = decoder.finish()
        assert [reading.time_source for reading in stored.readings] == [UNKNOWN] * 3


@pytest.fixture
def logger_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one logger is remembered."""
    monkeypatch.setattr(deye_dates, "MOST_LOGGERS", 1)


class TestManyLoggers:
    def test_a_thousand_loggers_are_dated_each_by_itself(self) -> None:
        loggers = range(2712345000, 2712345000 + 1000)
        undated = [data_frame(SWITCHED_ON + 60, 60, 0, logger=logger) for logger in loggers]
        dating = [
            data_frame(SWITCHED_ON + 660, 660, OFFSET + number, logger=logger)
            for number, logger in enumerate(loggers)
        ]
        found = decode(b"".join(undated + dating))
        assert [one.readings[0].time for one in found[:1000]] == [
            float(SWITCHED_ON + 60 + OFFSET + number) for number in range(1000)
        ]

    @pytest.mark.usefixtures("logger_bound")
    def test_beyond_the_bound_a_record_has_the_time_that_it_tells_itself(self) -> None:
        other = data_frame(SWITCHED_ON + 60, 60, 0, logger=2712345679)
        dated = data_frame(SWITCHED_ON + 660, 660, OFFSET, logger=2712345679)
        handshake = raw("handshake-130")
        found = decode(HEARTBEAT + DATING + other + dated + handshake)
        assert [one.readings[0].time_source for one in found[1:4]] == [DEVICE, UNKNOWN, DEVICE]

    @pytest.mark.usefixtures("logger_bound")
    def test_beyond_the_bound_a_live_record_takes_its_arrival_at_once(self) -> None:
        decoder = Decoder([DEYE])
        other = data_frame(SWITCHED_ON + 60, 60, 0, logger=2712345679)
        assert told(decoder.feed(DATING, ARRIVAL)) == [(0, "device")]
        assert told(decoder.feed(other, ARRIVAL)) == [(343, "arrival")]


class TestDeyeDating:
    def test_a_frame_that_measures_nothing_teaches(self) -> None:
        dating = deye_dates.Dating(None)
        report = Message(Frame.parse(raw("tsun-report")))
        assert report.stamp is not None
        assert report.records() == []
        assert dating.see(report, [], [], None) == []
        assert list(dating._loggers) == [report.device]

    def test_a_record_without_a_stamp_takes_its_arrival(self) -> None:
        # No known message measures and has no stamp; one of a later layout might.
        message = Message(frame("heartbeat"))
        assert message.stamp is None
        record = Record("deye", "1", None, historic=False, values={"status": "x"}, kind="data")
        dating = deye_dates.Dating()
        assert dating.see(message, ["k"], [record], 5.0) == [Dated("k", 5.0, BY_ARRIVAL)]
        assert dating.see(message, ["k"], [record], None) == [Dated("k", None, UNKNOWN)]

    def test_settle_asks_all_loggers(self) -> None:
        dating = deye_dates.Dating()
        for logger in (1, 2):
            message = Message(Frame.parse(data_frame(SWITCHED_ON, 0, 0, logger=logger)))
            assert dating.see(message, [logger], message.records(), ARRIVAL) == []
        assert [date.key for date in dating.settle(ARRIVAL + 60)] == [1, 2]
        assert dating.finish() == []


HOUR = 3600.0


def battery_record(device: str, stamp: float | None, *, historic: bool = False) -> Record:
    """Return what a battery measured."""
    return Record("alphaess", device, stamp, historic, {"battery_soc": 50.0}, "status")


class TestAlphaessDating:
    """The records are enough: nothing else of a message matters."""

    message = AlphaFrame(1, 1, 6, b"{}")

    def see(
        self, dating: alphaess_dates.Dating, record: Record, arrival: float | None
    ) -> list[Dated]:
        return dating.see(self.message, [record.device], [record], arrival)  # type: ignore[arg-type]

    def test_without_arrival_only_a_known_offset_dates(self) -> None:
        record = battery_record("AL1", ARRIVAL + HOUR)
        assert self.see(alphaess_dates.Dating(), record, None) == [Dated("AL1", None, UNKNOWN)]
        assert self.see(alphaess_dates.Dating(HOUR), record, None) == [
            Dated("AL1", ARRIVAL, CORRECTED, -HOUR)
        ]

    def test_with_arrivals_the_clock_of_each_battery_is_found(self) -> None:
        dating = alphaess_dates.Dating()
        for device, offset in (("AL1", HOUR), ("AL2", -HOUR)):
            for late in (1.0, 0.0):
                self.see(dating, battery_record(device, ARRIVAL + offset - late), ARRIVAL)
        for device, offset in (("AL1", HOUR), ("AL2", -HOUR)):
            (date,) = self.see(dating, battery_record(device, ARRIVAL + offset + 5), ARRIVAL + 10)
            assert (date.time, date.source, date.offset) == (ARRIVAL + 5, CORRECTED, -offset)

    def test_a_record_without_a_stamp_takes_its_arrival(self) -> None:
        dating = alphaess_dates.Dating()
        assert self.see(dating, battery_record("AL1", None), ARRIVAL) == [
            Dated("AL1", ARRIVAL, BY_ARRIVAL)
        ]

    def test_a_stored_record_waits_for_the_clock(self) -> None:
        dating = alphaess_dates.Dating()
        stored = battery_record("AL1", ARRIVAL - HOUR, historic=True)
        assert self.see(dating, stored, ARRIVAL) == []
        assert dating.settle(ARRIVAL + HOUR) == []
        live = battery_record("AL1", ARRIVAL + HOUR + 10)
        assert [date.time for date in self.see(dating, live, ARRIVAL + 10)] == [
            ARRIVAL - 2 * HOUR,
            ARRIVAL + 10,
        ]

    def test_the_end_gives_what_no_clock_dated(self) -> None:
        dating = alphaess_dates.Dating()
        assert self.see(dating, battery_record("AL1", 1e9, historic=True), ARRIVAL) == []
        assert dating.finish() == [Dated("AL1", None, UNKNOWN)]

    def test_beyond_the_bound_a_record_gets_what_can_be_known_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alphaess_dates, "MOST_BATTERIES", 1)
        dating = alphaess_dates.Dating()
        self.see(dating, battery_record("AL1", ARRIVAL), ARRIVAL)
        other = battery_record("AL2", ARRIVAL - HOUR, historic=True)
        assert self.see(dating, other, ARRIVAL) == [Dated("AL2", None, UNKNOWN)]
        assert list(dating._clocks) == ["AL1"]


@pytest.mark.parametrize("offset", [5e9, float("inf"), float("nan")])
def test_an_impossible_clock_offset_is_refused(offset: float) -> None:
    with pytest.raises(ValueError, match="a clock offset of"):
        decode(b"", clock_offset=offset)


def test_what_waited_behind_damage_keeps_its_own_arrival() -> None:
    broken = bytearray(raw("micro-5408-realtime"))
    broken[1:3] = (4000).to_bytes(2, "little")  # it claims all that follows for a while
    decoder = Decoder([DEYE])
    found = decoder.feed(bytes(broken), 100.0)
    for number in range(20):
        found += decoder.feed(raw("heartbeat"), 200.0 + number)
    found += decoder.finish()
    frames = [item for item in found if item.is_frame]
    assert [item.at for item in frames] == [200.0 + number for number in range(20)]
    assert next(item.at for item in found if not item.is_frame) == 100.0


@pytest.mark.parametrize("level", ["", "D", "b"])
def test_there_is_no_other_level_of_confidence(level: str) -> None:
    with pytest.raises(ValueError, match="one of A, B and C"):
        decode(b"", confidence=level)


def test_nothing_was_measured_after_now() -> None:
    future = Message(frame("micro-5408-realtime")).replace({"offset_time": 4_190_000_000}).build()
    (free,) = decode(future)
    assert free.readings[0].time_source is TimeSource.DEVICE
    (bound,) = decode(future, now=1_760_000_000.0)
    assert (bound.readings[0].time, bound.readings[0].time_source) == (None, TimeSource.UNKNOWN)


def test_impossible_guesses_are_told_where_guesses_are_asked_for() -> None:
    message = Message(frame("micro-5408-realtime"))
    odd = message.replace({"phase_count": 3, "grid_voltage_l2": 6553.5}).build()
    (sure,), (guessed,) = decode(odd), decode(odd, confidence="C")
    assert sure.problems == ()
    assert guessed.problems == ("grid_voltage_l2: 6553.5 V is outside 0 to 2000",)
    assert guessed.to_json()["problems"] == list(guessed.problems)


@pytest.mark.parametrize("at", [None, ARRIVAL])
def test_a_masked_frame_has_its_place_and_arrival(at: float | None) -> None:
    decoder = Decoder()
    (before,) = decoder.feed(HEARTBEAT, 100.0)
    (found,) = decoder.feed_masked(HEARTBEAT[:7] + bytes(4) + HEARTBEAT[11:], (7, 8, 9, 10), at)
    assert (before.at, found.at) == (100.0, at)
    shown = found.to_json()
    assert (shown["offset"], shown["reason"]) == (14, "masked: of 14 bytes not told: 7 to 10")
    assert shown["tentative"]["name"] == "heartbeat"
