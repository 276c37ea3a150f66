"""Readings tell which device, when, whence the time, and what; in JSON as the contract has it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.reading import Dated, Reading, Record, TimeSource, span_text, utc_text

RECORD = Record(
    family="deye",
    device="2301234567",
    stamp=None,
    historic=False,
    values={"active_power": 4},
    kind="data",
    via="2712345678",
)


def test_a_record_becomes_a_reading_by_its_date() -> None:
    reading = RECORD.dated(Dated("key", 1712596443, TimeSource.DEVICE, 1705840598))
    assert reading == Reading(
        family="deye",
        device="2301234567",
        time=1712596443,
        time_source=TimeSource.DEVICE,
        historic=False,
        values={"active_power": 4},
        kind="data",
        via="2712345678",
    )


def test_a_readings_json_is_the_contracts() -> None:
    reading = RECORD.dated(Dated(None, 1712596443, TimeSource.DEVICE))
    assert json.loads(json.dumps(reading.to_json())) == {
        "device": "2301234567",
        "via": "2712345678",
        "kind": "data",
        "time": "2024-04-08T17:14:03Z",
        "time_source": "device",
        "historic": False,
        "values": {"active_power": 4},
    }


def test_a_time_that_cannot_be_known_is_null_and_says_so() -> None:
    shown = RECORD.dated(Dated(None, None, TimeSource.UNKNOWN)).to_json()
    assert shown["time"] is None
    assert shown["time_source"] == "unknown"


def test_the_sources_of_a_time_have_their_public_names() -> None:
    names = ["device", "device-corrected", "estimated", "arrival", "unknown"]
    assert [str(source) for source in TimeSource] == names


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1712596443, "2024-04-08T17:14:03Z"),
        (1712596443.0, "2024-04-08T17:14:03Z"),
        (1712596443.25, "2024-04-08T17:14:03.250Z"),
        (1712596443.0004, "2024-04-08T17:14:03Z"),
        (1712596443.9996, "2024-04-08T17:14:04Z"),
        (2**33, "2242-03-16T12:56:32Z"),
    ],
)
def test_a_time_is_written_to_the_second_or_if_need_be_the_millisecond(
    time: float, text: str
) -> None:
    assert utc_text(time) == text


@given(st.integers(0, 2**32), st.integers(1, 999))
def test_no_millisecond_is_lost_or_gained(seconds: int, milliseconds: int) -> None:
    assert utc_text(seconds + milliseconds / 1000).endswith(f".{milliseconds:03}Z")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (80.4, "+80 s"),
        (-599.4, "-599 s"),
        (3600, "+1 h"),
        (1800, "+30 min"),
        (-4799, "-1 h 20 min"),
        (302_400, "+3.5 days"),
        (-178_702_984, "-5.7 years"),
    ],
)
def test_a_difference_of_times_is_told_no_finer_than_it_matters(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
