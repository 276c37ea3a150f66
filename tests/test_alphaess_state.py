"""What is remembered of a battery: what is missing, its trusted configuration, the last index."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.state import LONGEST_GAP, SILENCE, BatteryState, Gap
from inverterproto.errors import ProtocolError
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Note, Record
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START

HOUR, DAY = 3600.0, 86400.0


def heard(offset: float = HOUR, until: float = START) -> BatteryState:
    """Return the state of a battery that was heard until some time, its clock an hour ahead."""
    state = BatteryState()
    for time in (until - 20, until - 10, until):
        state.observe(time, time + offset, time)
    return state


def test_what_a_battery_tells_of_itself_is_to_be_saved_when_it_changes() -> None:
    state = BatteryState()
    key = state.key_of_change("login", b"a" * 16)
    assert (key, state.revision) == (b"a" * 16, 1)
    assert (state.key_of_change("login", key), state.revision) == (key, 1)
    assert state.key_of_change("configuration", key) == key, "each kind by itself"
    assert len(state.key_of_change("login", b"b" * 16)) == 16
    assert state.revision == 3


def test_a_battery_never_heard_before_misses_nothing() -> None:
    assert heard().gap is None


def test_a_silence_of_two_minutes_is_mere_reconnecting() -> None:
    state = heard()
    state.observe("k", START + SILENCE + HOUR, START + SILENCE)
    assert state.gap is None


def test_a_longer_silence_leaves_a_gap_by_the_batterys_clock() -> None:
    state = heard()
    state.observe("k", START + 1200 + HOUR, START + 1200)
    assert state.gap == Gap(START + HOUR, START + 1200 + HOUR)
    assert state.gap.minutes == 21


def test_the_minutes_at_both_ends_of_a_gap_count() -> None:
    assert Gap(0, 59).minutes == 1
    assert Gap(0, 60).minutes == Gap(0, 119).minutes == 2


@pytest.mark.parametrize("change", [HOUR, -HOUR])
def test_a_clock_set_in_a_silence_widens_the_gap_to_what_it_showed_before_and_after(
    change: float,
) -> None:
    state = heard(HOUR)
    state.observe("k", START + 1800 + HOUR + change, START + 1800)
    before = START + HOUR, START + 1800 + HOUR
    after = START + HOUR + change, START + 1800 + HOUR + change
    assert state.gap == Gap(min(before[0], after[0]), max(before[1], after[1]))


def test_a_clock_set_from_nonsense_counts_as_it_is_now() -> None:
    state = heard(-20 * 365 * DAY)  # it woke up in the year 2001
    offset = HOUR
    for key, time in enumerate((300, 310, 320, 330)):
        state.observe(key, START + time + offset, START + time)
    # The step is proved by the third; the first that is near the new offset ends the silence.
    assert state.gap == Gap(START + HOUR, START + 320 + HOUR)


def test_one_nonsensical_stamp_ends_no_silence() -> None:
    state = heard()
    state.observe("wild", START + 40 * 365 * DAY, START + 1200)
    assert state.gap is None
    state.observe("k", START + 1210 + HOUR, START + 1210)
    assert state.gap == Gap(START + HOUR, START + 1210 + HOUR)


def test_a_record_without_a_time_ends_no_silence() -> None:
    state = heard()
    assert state.observe("k", None, START + 600) == [Dated("k", START + 600, TimeSource.ARRIVAL)]
    state.observe("l", START + 610 + HOUR, START + 610)
    assert state.gap is not None
    assert state.gap.since == START + HOUR


def test_of_a_long_absence_the_last_week_is_missing() -> None:
    state = heard()
    now = START + 30 * DAY
    state.observe("k", now + HOUR, now)
    assert state.gap == Gap(now + HOUR - LONGEST_GAP, now + HOUR)
    assert state.gap.minutes == 10081


def test_a_host_whose_clock_leaps_asks_from_the_last_record_on() -> None:
    state = heard()
    leap = 10 * 365 * DAY
    for key, time in enumerate((200, 210, 220)):
        state.observe(key, START + time + HOUR, START + time + leap)
    assert state.gap is not None
    assert state.gap.since <= START + HOUR
    assert state.gap.until >= START + 200 + HOUR


def test_a_host_whose_clock_goes_back_hears_on() -> None:
    state = heard()
    state.observe("k", START - 100 + HOUR, START - 100)
    assert state.gap is None


def test_stored_records_close_the_gap_from_its_beginning() -> None:
    state = heard()
    state.observe("live", START + 1200 + HOUR, START + 1200)
    state.observe("a", START + 60 + HOUR, START + 1201, historic=True)
    assert state.gap == Gap(START + 60 + HOUR, START + 1200 + HOUR)
    state.observe("elsewhere", START - DAY, START + 1201, historic=True)
    state.observe("elsewhere, too", START + DAY, START + 1201, historic=True)
    assert state.gap == Gap(START + 60 + HOUR, START + 1200 + HOUR)
    state.observe("last", START + 1170 + HOUR, START + 1202, historic=True)
    assert state.gap is None


def test_another_silence_lets_an_open_gap_go_on() -> None:
    state = heard()
    state.observe("k", START + 1200 + HOUR, START + 1200)
    state.observe("l", START + 2400 + HOUR, START + 2400)
    assert state.gap == Gap(START + HOUR, START + 2400 + HOUR)


def test_a_gap_of_a_clock_that_was_put_back_by_days_is_given_up_for_the_new_one() -> None:
    state = heard()
    state.gap = Gap(START + 3 * DAY, START + 4 * DAY)
    state.observe("l", START + 2400 + HOUR, START + 2400)
    assert state.gap == Gap(START + HOUR, START + 2400 + HOUR)


def test_a_gap_can_be_given_up() -> None:
    state = heard()
    state.observe("k", START + 1200 + HOUR, START + 1200)
    state.close_gap()
    assert state.gap is None


# What is trusted


def test_a_configuration_is_trusted_for_its_battery_alone() -> None:
    state = BatteryState()
    state.trust(CONFIGURATION, SN)
    assert state.configuration == CONFIGURATION
    with pytest.raises(ProtocolError, match="no configuration of this battery: SN: expected AL999"):
        state.trust(CONFIGURATION, "AL999")


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "no configuration: expected a JSON object, found empty payload"),
        (b"nonsense", "no configuration: expected a JSON object, found payload: broken JSON"),
        (CONFIGURATION + b"x", "1 bytes behind the JSON object"),
        (RAW["config-from-battery"][7:-2], "Status: expected Success, found None"),
        (b'{"Status":"Success","SN":"AL2002000001234"}', "expected settings, found none"),
        (b'{"Status":"Success","SN":"AL2002000001234","CheckTime":"x"}', "expected settings"),
        (CONFIGURATION[:-1] + b',"SN":"AL999"}', "no configuration of this battery: SN"),
        (CONFIGURATION[:-1] + b',"Status":"No"}', "no configuration of this battery: Status"),
    ],
)
def test_what_is_no_configuration_of_the_cloud_is_never_trusted(
    payload: bytes, problem: str
) -> None:
    state = BatteryState()
    with pytest.raises(ProtocolError, match=problem):
        state.trust(payload, SN)
    assert state.configuration is None


def test_what_was_held_is_trusted_when_it_is_approved_and_is_to_be_saved() -> None:
    state, other = BatteryState(), CONFIGURATION.replace(b'"Fan":false', b'"Fan":true')
    state.trust(CONFIGURATION, SN)
    seen = [state.revision]
    for held in (other, other, None, other):
        state.hold(held)
        seen.append(state.revision)
    assert [later - first for first, later in pairwise(seen)] == [1, 0, 1, 1]
    assert state.approve() == other == state.configuration
    assert state.revision > seen[-1]
    assert state.candidate is state.approve() is None
    assert state.configuration == other


def test_whoever_trusts_another_settles_what_was_held() -> None:
    state = BatteryState()
    state.hold(CONFIGURATION.replace(b'"Fan":false', b'"Fan":true'))
    state.trust(CONFIGURATION, SN)
    assert state.candidate is None


def test_a_state_saved_before_anything_was_held_is_read() -> None:
    saved = BatteryState().to_state()
    del saved["candidate"]
    assert BatteryState.from_state(saved).candidate is None


# Indexes


def test_indexes_go_on_from_the_last_that_anybody_gave() -> None:
    state = BatteryState()
    assert state.next_index() == 1
    state.see_index("82915609")
    assert state.next_index() == 82915610
    for nonsense in (None, "", "x", "-5", "٣", "1234567890", ["7"]):
        state.see_index(nonsense)
    assert state.next_index() == 82915611


# What is saved


def test_a_state_saved_and_read_again_is_the_same() -> None:
    state = heard()
    state.observe("k", START + 1200 + HOUR, START + 1200)
    state.trust(CONFIGURATION, SN)
    state.next_index()
    saved = json.loads(json.dumps(state.to_state()))
    again = BatteryState.from_state(saved)
    assert again.to_state() == saved
    assert (again.gap, again.configuration) == (state.gap, state.configuration)
    assert again.next_index() == 2
    assert again.clock.offset == state.clock.offset
    again.observe("k", START + 3600 + HOUR, START + 3600)
    assert again.gap == Gap(START + HOUR, START + 3600 + HOUR)


def test_a_new_state_saved_and_read_again_is_new() -> None:
    saved = json.loads(json.dumps(BatteryState().to_state()))
    assert BatteryState.from_state(saved).to_state() == saved


@given(st.binary().filter(lambda extra: b'"' not in extra and b"\\" not in extra))
def test_a_trusted_configuration_is_saved_to_the_byte(extra: bytes) -> None:
    state = BatteryState()
    payload = CONFIGURATION[:-1] + b',"Odd":"%b"}' % extra
    try:
        state.trust(payload, SN)
    except ProtocolError:
        return
    saved = json.loads(json.dumps(state.to_state()))
    assert BatteryState.from_state(saved).configuration == payload


def test_what_was_heard_is_to_be_saved_once_a_minute_and_all_else_at_once() -> None:
    state = BatteryState()
    seen = [state.revision]
    for time in range(0, 600, 10):
        state.observe(time, START + time, START + time)
        seen.append(state.revision)
    assert len(set(seen)) == 11
    before = state.revision
    state.trust(CONFIGURATION, SN)
    assert state.revision > before
    before = state.revision
    state.trust(CONFIGURATION, SN)
    assert state.revision == before


def test_a_record_kept_undated_is_dated_after_a_restart() -> None:
    state = BatteryState.from_state(heard().to_state())
    stamp, historic = START + HOUR - 60, True
    record = Record(b"k" * 16, "alphaess", "stored", SN, None, historic, stamp, b"")
    assert state.recall(record, START + 5) == [
        Dated(b"k" * 16, START - 60, TimeSource.DEVICE_CORRECTED, -HOUR)
    ]
    assert state.settle(START + 10) == []


def test_a_configuration_that_holds_a_password_is_trusted_but_not_saved() -> None:
    state = BatteryState()
    state.trust(b'{"Status":"Success","SN":"AL2002000001234","WifiPassword":"hunter2x"}', SN)
    assert state.configuration is not None
    assert "hunter2x" not in json.dumps(state.to_state())
    assert BatteryState.from_state(state.to_state()).configuration is None
    state.trust(b'{"Status":"Success","SN":"AL2002000001234","GridCharge":"1"}', SN)
    assert BatteryState.from_state(state.to_state()).configuration == state.configuration


# What is told of the clock


def told(state: BatteryState) -> list[tuple[str, str]]:
    return [(note.event, note.text) for note in state.clock_notes(SN)]


def test_a_clock_that_jumps_is_told_once_and_what_it_was_when_three_records_agree() -> None:
    state = heard()
    assert told(state) == []
    state.observe(1, START + 10 + 2 * HOUR, START + 10)
    text = "its clock seems to have jumped by +1 h: its readings wait until that is sure, "
    assert told(state) == [("clock-jump", f"{text}5 minutes at most")]
    state.observe(2, START + 20 + 2 * HOUR, START + 20)
    assert told(state) == []
    assert len(state.observe(3, START + 30 + 2 * HOUR, START + 30)) == 3
    text = "its clock was set by +1 h (time zone or DST): what waited is dated"
    assert told(state) == [("clock-set", text)]
    assert told(state) == []


def test_one_that_did_not_jump_is_told_when_the_waiting_is_over() -> None:
    state = heard()
    state.observe(1, START + 5.7 * 365.25 * DAY, START + 10)
    [note] = state.settle(START + 20)
    assert isinstance(note, Note)
    assert note.event == "clock-jump"
    assert "+5.7 years" in note.text
    dated, note = state.settle(START + 310)
    assert dated == Dated(1, START + 10, TimeSource.ARRIVAL)
    assert isinstance(note, Note)
    assert note.event == "clock-as-before"
