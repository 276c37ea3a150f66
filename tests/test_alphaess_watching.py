"""What a battery says, made records, whoever answers it."""

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.frame import LONGEST, Frame
from inverterproto.alphaess.masking import is_suspect
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.state import BatteryState
from inverterproto.alphaess.watching import MOST_SERIALS, Watcher
from inverterproto.deye.frame import FRAMING as V5
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Action, Note, Record
from inverterproto.stream import Framed
from tests.alphaess_vectors import (
    CONFIGURATION,
    OFFSET,
    RAW,
    SN,
    START,
    Memory,
    changed,
    items,
    raw_frame,
    status,
)
from tests.vectors import CLIENT_HELLO, raw

ARRIVAL, CORRECTED, UNKNOWN = TimeSource.ARRIVAL, TimeSource.DEVICE_CORRECTED, TimeSource.UNKNOWN
TABLE = RAW["stored-records"][7:-2]
HEADER, *ROWS = TABLE.splitlines(keepends=True)


def watch(
    data: bytes, watcher: Watcher | None = None, *, now: float = START, sender: str = "device"
) -> list[Action]:
    watcher = Watcher(Memory()) if watcher is None else watcher
    return [action for item in items(data) for action in watcher.watch(item, now, sender)]


def records(actions: list[Action]) -> list[Record]:
    return [action for action in actions if isinstance(action, Record)]


def dates(actions: list[Action]) -> list[Dated]:
    return [action for action in actions if isinstance(action, Dated)]


def events(actions: list[Action]) -> list[str]:
    return [action.event for action in actions if isinstance(action, Note)]


def stored(*rows: bytes, header: bytes = HEADER) -> bytes:
    return raw_frame(1, 12, b"".join([header, *rows]))


# What is kept


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("status-1", "status"),
        ("status-3", "status"),
        ("record", "record"),
        ("config-from-battery", "configuration"),
        ("event-log", "event_log"),
        ("restart", "event_log"),
    ],
)
def test_what_measures_or_tells_something_is_kept_as_it_came(name: str, kind: str) -> None:
    watcher = Watcher(Memory())
    watch(RAW["login"], watcher)
    (record,) = records(watch(RAW[name], watcher))
    assert (record.family, record.kind, record.device) == ("alphaess", kind, SN)
    assert record.frame == RAW[name]
    assert not record.masked
    assert not record.historic
    assert record.known
    assert len(record.key) == 16


@pytest.mark.parametrize("name", ["keep-alive", "config-request", "resume-reply"])
def test_what_only_asks_or_acknowledges_is_not_kept(name: str) -> None:
    assert watch(RAW[name]) == []


def test_a_status_is_dated_by_the_batterys_clock() -> None:
    watcher = Watcher(Memory())
    watch(status(START + OFFSET), watcher, now=START + 0.2)
    record, dated = watch(status(START + 10 + OFFSET), watcher, now=START + 11)
    assert isinstance(record, Record)
    assert record.stamp == START + 10 + OFFSET == parse_stamp("2021/03/24 10:00:10")
    assert isinstance(dated, Dated)
    assert (dated.key, dated.source) == (record.key, CORRECTED)
    assert dated.time == pytest.approx(START + 10.2, abs=1e-5)


@pytest.mark.parametrize("time", ["", "nonsense", "0001/01/01 00:00:00", "9999/01/01 00:00:00"])
def test_a_status_without_a_time_that_can_be_is_dated_by_its_arrival(time: str) -> None:
    record, dated = watch(changed("status-1", Time=time))
    assert isinstance(record, Record)
    assert record.stamp is None
    assert dated == Dated(record.key, START, ARRIVAL)


def test_what_has_no_time_of_its_own_is_dated_by_its_arrival() -> None:
    watcher = Watcher(Memory())
    for name in ("login", "event-log", "config-from-battery"):
        actions = watch(RAW[name], watcher)
        assert dates(actions) == [Dated(records(actions)[0].key, START, ARRIVAL)]


def test_the_same_again_has_the_same_key_and_another_has_another() -> None:
    watcher = Watcher(Memory())
    names = ["status-1", "status-1", "status-2", "record", "event-log", "event-log"]
    first, again, other, record, event, same = [
        records(watch(RAW[name], watcher))[0].key for name in names
    ]
    assert first == again
    assert event == same
    assert len({first, other, record, event}) == 4


def test_what_one_battery_says_is_not_what_another_says() -> None:
    one, other = Watcher(Memory()), Watcher(Memory())
    watch(status(START, "AL1"), one)
    watch(status(START, "AL2"), other)
    (said,), (also,) = (records(watch(RAW["event-log"], each)) for each in (one, other))
    assert (said.device, also.device) == ("AL1", "AL2")
    assert said.key != also.key


@pytest.mark.parametrize(
    "payload",
    [
        RAW["malformed-json"][7:-2],
        b"",
        b"nonsense",
        b"[1]",
        b'{"SN":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_status_that_cannot_be_read_is_kept_and_said_to_be_unknown(payload: bytes) -> None:
    watcher = Watcher(Memory())
    watch(RAW["status-1"], watcher)
    (record,) = records(watch(raw_frame(1, 16, payload), watcher))
    assert (record.kind, record.device, record.stamp) == ("status", SN, None)
    assert record.frame == raw_frame(1, 16, payload)
    assert record.known is payload.startswith(b'{"SN":[[')


def test_a_status_in_an_odd_form_is_read_all_the_same() -> None:
    odd = b'{"Time":"2021/03/24 10:01:52","SN":"AL1","SOC":50}'
    (record,) = records(watch(raw_frame(1, 16, odd)))
    assert (record.device, record.stamp) == ("AL1", parse_stamp("2021/03/24 10:01:52"))
    number = b'{"Time":5,"SN":"AL1"}'
    (record,) = records(watch(raw_frame(1, 16, number)))
    assert (record.device, record.stamp, record.known) == ("AL1", None, True)


@pytest.mark.parametrize("serial", ["", "x" * 65, "grün", "a\\nb"])
def test_what_can_be_no_serial_names_nobody(serial: str) -> None:
    watcher = Watcher(Memory())
    payload = f'{{"SN":"{serial}","Time":"2021/03/24 10:01:52"}}'.encode()
    (record,) = records(watch(raw_frame(1, 16, payload), watcher))
    assert record.device is None
    watch(RAW["status-1"], watcher)
    (record,) = records(watch(raw_frame(1, 16, payload), watcher))
    assert record.device == SN


def test_before_anybody_is_named_live_records_have_their_arrival_and_stored_ones_no_time() -> None:
    nameless = b'{"Time":"2021/03/24 10:01:52","SOC":"50"}'
    live = watch(raw_frame(1, 16, nameless))
    assert dates(live) == [Dated(records(live)[0].key, START, ARRIVAL)]
    table = b"Date,Time,SOC\n2021/03/24,10:01:52,50\n"
    old = watch(raw_frame(1, 12, table))
    assert dates(old) == [Dated(records(old)[0].key, None, UNKNOWN)]


NAMELESS = (
    raw_frame(1, 16, b'{"Time":"2021/03/24 10:01:52","SOC":"50"}'),
    raw_frame(1, 12, b"Date,Time,SOC\n2021/03/24,10:01:52,50\n"),
    RAW["event-log"],
    raw_frame(1, 77, b"?"),
    CLIENT_HELLO,
)


@pytest.mark.parametrize("data", NAMELESS)
def test_what_comes_before_anybody_is_named_takes_no_room_of_what_is_known(data: bytes) -> None:
    (record,) = records(watch(data))
    assert (record.device, record.known) == (None, False)


@pytest.mark.parametrize("data", NAMELESS)
def test_who_wants_only_named_batteries_keeps_nothing_before_one_is_named(data: bytes) -> None:
    watcher = Watcher(Memory(), nameless=False)
    assert events(watch(data, watcher)) == ["refused"]
    assert watcher.refused
    assert watch(data, watcher) == [], "it is said once"
    watch(RAW["status-1"], watcher)
    (record,) = records(watch(data, watcher))
    assert record.device == SN
    assert not watcher.refused


# Stored records


def test_each_stored_row_is_a_record_of_its_own_in_a_frame_with_the_header_line() -> None:
    found = records(watch(RAW["stored-records"]))
    assert [record.frame for record in found] == [stored(row) for row in ROWS]
    assert {record.kind for record in found} == {"stored"}
    assert all(record.historic and record.known for record in found)
    assert {record.device for record in found} == {SN}
    times = ["09:40:59", "09:42:00", "09:43:00"]
    assert [r.stamp for r in found] == [parse_stamp(f"2021/03/24 {time}") for time in times]
    whole = Message.parse(Frame.parse(RAW["stored-records"])).records()
    parts = [Message.parse(Frame.parse(record.frame)).records()[0] for record in found]
    assert parts == whole


def test_a_stored_row_in_other_company_is_the_same_record() -> None:
    together = records(watch(RAW["stored-records"]))
    crlf = raw_frame(1, 12, b"\r\n".join([HEADER.strip(), b"", ROWS[2].strip()]))
    for data, number in ((stored(ROWS[1]), 1), (crlf, 2)):
        (alone,) = records(watch(data))
        assert alone == together[number]


def test_stored_records_are_dated_by_what_is_known_of_the_clock() -> None:
    watcher = Watcher(Memory())
    watch(status(START + OFFSET), watcher)
    found = dates(watch(RAW["stored-records"], watcher))
    assert [dated.source for dated in found] == [CORRECTED] * 3
    first = parse_stamp("2021/03/24 09:40:59")
    assert first is not None
    assert found[0].time == first - OFFSET


def test_stored_records_without_a_serial_are_of_who_was_named_last() -> None:
    watcher = Watcher(Memory())
    watch(RAW["login"], watcher)
    table = b"Date,Time,SOC\n2021/03/24,09:40:59,50\n"
    (record,) = records(watch(raw_frame(1, 12, table), watcher))
    assert record.device == SN


def test_a_malformed_row_is_kept_and_said_to_be_unknown() -> None:
    good, short, long, good_too = records(
        watch(stored(ROWS[0], b"2021/03/24,09:41:59,AL2\n", b"x," * 100 + b"\n", ROWS[1]))
    )
    assert (good.known, good_too.known) == (True, True)
    assert (short.known, short.device) == (False, "AL2")
    assert short.stamp == parse_stamp("2021/03/24 09:41:59")
    assert (long.known, long.stamp) == (False, None)


@pytest.mark.parametrize("payload", [b"", b"\n\n", HEADER, b"1,2,3\n4,5,6\n", b'{"Date":', b"\0\1"])
def test_stored_records_that_cannot_be_divided_are_kept_whole(payload: bytes) -> None:
    actions = watch(raw_frame(1, 12, payload))
    (record,) = records(actions)
    assert record.frame == raw_frame(1, 12, payload)
    assert (record.kind, record.historic, record.known) == ("stored", True, False)
    assert dates(actions) == [Dated(record.key, None, UNKNOWN)]


def test_a_stored_record_that_is_json_is_kept_as_one() -> None:
    payload = b'{"Date":"2021/03/24","Time":"09:40:59","SN":"AL1","SOC":"50"}'
    (record,) = records(watch(raw_frame(1, 12, payload)))
    assert (record.device, record.known) == ("AL1", True)
    assert record.stamp == parse_stamp("2021/03/24 09:40:59")


def test_a_table_whose_rows_would_grow_out_of_measure_is_kept_whole() -> None:
    flood = stored(*[b"a\n"] * 10_000)
    assert len(flood) < LONGEST
    (record,) = records(watch(flood))
    assert record.frame == flood
    assert not record.known


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_records_never_take_more_than_twice_the_longest_frame(lines: list[bytes]) -> None:
    found = records(watch(raw_frame(1, 12, b"\n".join(lines))))
    assert found
    assert sum(len(record.frame) for record in found) <= 2 * LONGEST


# What is not known


def test_an_unknown_command_is_kept_with_its_bytes() -> None:
    watcher = Watcher(Memory())
    watch(RAW["login"], watcher)
    actions = watch(raw_frame(1, 77, b'{"Weather":"fine"}'), watcher)
    (record,) = records(actions)
    assert (record.kind, record.device, record.known) == ("unknown", SN, False)
    assert record.frame == raw_frame(1, 77, b'{"Weather":"fine"}')
    assert events(actions) == ["unknown-message"]


def test_a_status_that_is_no_json_is_kept_and_said() -> None:
    watcher = Watcher(Memory())
    watch(RAW["login"], watcher)
    actions = watch(raw_frame(1, 16, b'{"SN": '), watcher)
    (record,) = records(actions)
    assert (record.kind, record.known) == ("status", False)
    (note,) = [action for action in actions if isinstance(action, Note)]
    assert note.event == "unknown-message"
    assert note.text == "from the device: status, 16 bytes, is no JSON; kept"


@pytest.mark.parametrize(
    "frame",
    [
        raw_frame(1, 0, b"{}"),
        RAW["resume"],
        RAW["status-reply"],
        raw_frame(2, 77),
        raw_frame(1, 77),
    ],
    ids=["keep-alive with a payload", "command", "reply", "unknown reply", "empty"],
)
def test_what_a_battery_does_not_ordinarily_say_is_kept_as_unknown(frame: bytes) -> None:
    (record,) = records(watch(frame))
    assert (record.kind, record.known, record.frame) == ("unknown", False, frame)


def test_bytes_that_are_no_frame_are_kept_and_named() -> None:
    watcher = Watcher(Memory())
    watch(RAW["login"], watcher)
    actions = watch(CLIENT_HELLO, watcher)
    (record,) = records(actions)
    assert (record.kind, record.family, record.known) == ("unframed", None, False)
    assert (record.frame, record.device) == (CLIENT_HELLO, SN)
    (note,) = [action for action in actions if isinstance(action, Note)]
    assert note.text == f"from the device: TLS ClientHello, {len(CLIENT_HELLO)} bytes"


def test_a_damaged_frame_is_kept_with_the_family_that_it_seems_to_be_of() -> None:
    (record,) = records(watch(RAW["bad-crc"]))
    assert (record.kind, record.family) == ("unframed", "alphaess")


def test_another_familys_frame_is_kept_and_said() -> None:
    item = Framed(0, raw("heartbeat"), V5)
    actions = Watcher(Memory()).watch(item, START)
    (record,) = records(actions)
    assert (record.kind, record.family, record.known) == ("unknown", "deye", False)
    assert events(actions) == ["other-family"]


# Credentials


def test_the_password_of_a_login_is_masked_and_the_frame_still_valid() -> None:
    actions = watch(RAW["login"])
    (record,) = records(actions)
    assert (record.kind, record.masked, record.device) == ("login", True, SN)
    assert b"secret" not in record.frame
    assert len(record.frame) == len(RAW["login"])
    message = Message.parse(Frame.parse(record.frame))
    assert message.fields == {"UserName": SN, "Password": "******", "CompanyName": "AlphaESS"}
    assert events(actions) == ["login"]


@pytest.mark.parametrize("name", ["config-from-battery", "login"])
def test_a_change_back_is_a_change(name: str) -> None:
    memory = Memory()
    payload = Frame.parse(RAW[name]).payload.rstrip()
    command = RAW[name][2]

    def key(version: str) -> bytes:
        said = payload[:-1] + b',"Version":"%b"}' % version.encode()
        (record,) = records(watch(raw_frame(1, command, said), Watcher(memory)))
        return record.key

    keys = [key(version) for version in ("V1", "V1", "V2", "V2", "V1")]
    assert keys[0] == keys[1] != keys[2] == keys[3] != keys[4] != keys[0]
    (serial,) = memory
    memory[serial] = BatteryState.from_state(json.loads(json.dumps(memory[serial].to_state())))
    assert key("V1") == keys[4], "after a restart, too"
    assert key("V2") not in keys


def test_another_password_is_no_other_login() -> None:
    first, other = (
        records(watch(changed("login", Password=password)))[0] for password in ("abcdef", "ghijkl")
    )
    assert first.key == other.key


@pytest.mark.parametrize(
    "data",
    [
        raw_frame(1, 2, b'{"UserName":"AL1","Pass\\u0077ord":"se\\"cret"}'),
        raw_frame(1, 2, b'{"UserName":"AL1","Password":""secret"}'),
        raw_frame(1, 2, b'{"UserName":"AL1","Password":{"is":"secret"}}'),
        raw_frame(1, 77, b'{"Password":"secret"}'),
        raw_frame(2, 77, b'{"Password":"secret"}'),
        raw_frame(1, 77, b"SN,Password\nAL1,secret\n"),
        raw_frame(1, 2, '{"Password":"secret"}'.encode("utf-16-le")),
        raw_frame(1, 16, b'{"SN":"AL1","Time":"2021/03/24 09:40:13","Password":"secret"}'),
        raw_frame(1, 16, b'{"SN":"AL1","pass\\u0077ord":"secret"}'),
        raw_frame(1, 5, b'{"SN":"AL1","Token":"secret"}'),
        raw_frame(1, 12, b"SN,Password\nAL1,secret\n"),
        raw_frame(1, 12, b"SN,Ppv1\nAL1,password=secret\n"),
        raw_frame(1, 12, b'{"SN":"AL1","pwd":"secret"}'),
        RAW["login"][:-1] + b"\0",
        RAW["login"][:62],
    ],
)
def test_a_password_is_masked_wherever_it_stands(data: bytes) -> None:
    actions = watch(data)
    for record in records(actions):
        assert record.masked
        assert len(record.frame) == len(data)
        assert b"sec" not in record.frame.replace(b"\0", b"")
    assert b"sec" not in repr(actions).replace("\\x00", "").encode()


@pytest.mark.parametrize("name", ["status-1", "status-2", "status-3", "record"])
def test_an_ordinary_measurement_is_not_looked_through(name: str) -> None:
    assert not is_suspect(Frame.parse(RAW[name]).payload)


@pytest.mark.parametrize(
    "name",
    [
        "Password", "PWD", "psk", "Secret", "accessToken", "Credentials", "AUTHORIZATION",
        "Cookie", "ApiKey", "passphrase", "to\\u006ben",
    ],
)  # fmt: skip
def test_a_key_that_names_a_credential_makes_a_status_suspect(name: str) -> None:
    assert is_suspect(b'{"SN":"A","%b":"x"}' % name.encode())


# Whose it is


def test_a_battery_that_connects_again_is_known_by_its_status() -> None:
    memory = Memory()
    watch(RAW["status-1"], watcher := Watcher(memory))
    assert watcher.serial == SN
    assert watcher.state is memory[SN]


def test_several_batteries_behind_one_connection_have_a_state_each() -> None:
    watcher = Watcher(memory := Memory())
    for serial in ("AL1", "AL2", "AL1"):
        (record,) = records(watch(status(START, serial), watcher))
        assert record.device == serial
    assert sorted(memory) == ["AL1", "AL2"]


def test_a_connection_may_name_only_so_many_batteries() -> None:
    watcher = Watcher(memory := Memory())
    for number in range(MOST_SERIALS):
        assert records(watch(status(START, f"AL{number}"), watcher))
    told = []
    for number in range(1000, 1010):
        actions = watch(status(START, f"AL{number}") * 2, watcher)
        assert records(actions) == []
        assert watcher.refused
        told += events(actions)
    assert told == ["refused"] * 10
    assert len(memory) == MOST_SERIALS
    assert records(watch(status(START, "AL3"), watcher))
    assert not watcher.refused


def test_what_the_program_does_not_want_is_not_kept() -> None:
    watcher = Watcher(lambda _serial: None)
    names = ["login", "status-1", "event-log", "stored-records", "status-2"]
    actions = [action for name in names for action in watch(RAW[name], watcher)]
    assert events(actions) == ["refused"]
    assert len(actions) == 1
    for data in (raw_frame(1, 77, b"{}"), b"junk", RAW["status-reply"], RAW["keep-alive"]):
        assert watch(data, watcher) == []
    assert watch(raw_frame(1, 99, b"{}"), watcher, sender="cloud") == []


def test_what_was_refused_is_kept_on_the_same_connection_once_the_program_wants_it() -> None:
    memory: dict[str, BatteryState] = {}
    watcher = Watcher(memory.get)
    assert records(watch(RAW["login"] + RAW["status-1"], watcher)) == []
    assert not watcher.serials
    memory[SN] = BatteryState()
    (record,) = records(watch(RAW["status-2"], watcher))
    assert record.device == SN
    assert not watcher.refused
    assert watcher.serials == (SN,)
    assert records(watch(RAW["event-log"], watcher))


def test_of_stored_rows_of_several_batteries_only_the_wanted_are_kept() -> None:
    table = b"Date,Time,SN\n2021/03/24,09:40:59,AL1\n2021/03/24,09:40:59,AL2\n"
    watcher = Watcher(lambda serial: BatteryState() if serial == "AL1" else None)
    (record,) = records(watch(raw_frame(1, 12, table), watcher))
    assert record.device == "AL1"
    assert watcher.refused


# What the cloud says


def asked(*, trust_cloud: bool = False) -> tuple[Watcher, BatteryState]:
    """Return a watcher of a battery that has asked for its configuration."""
    watcher = Watcher(memory := Memory(), trust_cloud=trust_cloud)
    watch(RAW["config-request"], watcher)
    return watcher, memory[SN]


def test_replies_of_the_cloud_are_nothing_to_keep() -> None:
    watcher, _ = asked()
    for name in ("login-reply", "keep-alive-reply", "status-reply", "stored-records-reply"):
        assert watch(RAW[name], watcher, sender="cloud") == []


def test_the_configuration_that_the_cloud_sends_is_told_and_not_trusted() -> None:
    watcher, state = asked()
    (note,) = watch(RAW["config-from-cloud"], watcher, sender="cloud")
    text = "the cloud sends the first configuration: not trusted"
    assert note == Note("cloud-configuration", text, SN)
    assert state.configuration is None


def test_the_configuration_that_the_cloud_sends_is_trusted_where_that_is_wanted() -> None:
    watcher, state = asked(trust_cloud=True)
    (note,) = watch(RAW["config-from-cloud"], watcher, sender="cloud")
    assert note == Note(
        "cloud-configuration", "the cloud sends the first configuration: trusted", SN
    )
    assert state.configuration == CONFIGURATION
    later = changed("config-from-cloud", CheckTime="2021-03-24 12:00:00")
    assert watch(later, watcher, sender="cloud") == []
    assert state.configuration == later[7:-2]
    other = changed("config-from-cloud", GridCharge=True)
    (note,) = watch(other, watcher, sender="cloud")
    assert note == Note("cloud-configuration", "the cloud sends another configuration: trusted", SN)
    assert state.configuration == other[7:-2]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"Status":"Success"}',
        b'{"Status":"Success","SN":"AL2002000001234"}',
        b'{"Status":"Success","SN":"AL2002000001234","CheckTime":"2021-03-24 12:00:00"}',
    ],
)
def test_of_a_cloud_that_has_no_settings_there_is_nothing_to_tell(payload: bytes) -> None:
    watcher, state = asked(trust_cloud=True)
    assert watch(raw_frame(2, 3, payload), watcher, sender="cloud") == []
    assert state.configuration is None


@pytest.mark.parametrize(
    "frame",
    [
        changed("config-from-cloud", SN="AL999"),
        raw_frame(2, 3, b"nonsense"),
        raw_frame(2, 3),
    ],
)
def test_what_is_no_configuration_for_who_asked_is_not_trusted(frame: bytes) -> None:
    watcher, state = asked(trust_cloud=True)
    assert events(watch(frame, watcher, sender="cloud")) == ["cloud-configuration"]
    assert state.configuration is None


def test_a_configuration_that_nobody_asked_for_is_nobodys() -> None:
    watcher = Watcher(Memory(), trust_cloud=True)
    assert watch(RAW["config-from-cloud"], watcher, sender="cloud") == []


def test_the_batterys_own_configuration_is_never_trusted() -> None:
    watcher, state = asked(trust_cloud=True)
    watch(RAW["config-from-battery"], watcher)
    watch(RAW["config-from-cloud"], watcher)  # said by the battery's side
    assert state.configuration is None


def test_commands_of_the_cloud_are_told_and_their_index_is_learnt() -> None:
    watcher, state = asked()
    (note,) = watch(RAW["resume"], watcher, sender="cloud")
    text = "the cloud commands: Resume, 2021/03/24 09:40:13, 21"
    assert note == Note("cloud-command", text, SN)
    assert state.next_index() == 82915610
    assert events(watch(RAW["sync-time"], Watcher(Memory()), sender="cloud")) == ["cloud-command"]


def test_what_the_cloud_says_that_nobody_knows_is_kept_as_the_clouds() -> None:
    watcher, _ = asked()
    for data in (raw_frame(1, 99, b"{}"), RAW["status-1"], b"junk"):
        (record,) = records(watch(data, watcher, sender="cloud"))
        assert (record.sender, record.known, record.device) == ("cloud", False, SN)


def test_a_status_from_the_cloud_teaches_nothing_of_the_battery() -> None:
    watcher, state = asked()
    watch(status(START + 5 * OFFSET), watcher, sender="cloud")
    assert state.clock.offset is None


@given(
    st.lists(
        st.one_of(
            st.sampled_from(sorted(RAW.values())),
            st.binary(max_size=30),
            st.builds(
                raw_frame, st.sampled_from([1, 2]), st.integers(0, 255), st.binary(max_size=60)
            ),
        ),
        max_size=12,
    ),
    st.sampled_from(["device", "cloud"]),
)
def test_nothing_that_is_said_is_lost_or_breaks_anything(said: list[bytes], sender: str) -> None:
    watcher = Watcher(memory := Memory())
    actions: list[Action] = []
    for data in said:
        for item in items(data):
            done = watcher.watch(item, START, sender)
            actions += done
            if not isinstance(item, Framed):
                assert [len(record.frame) for record in records(done)] == [len(item.raw)]
    actions += [dated for state in memory.values() for dated in state.settle(inf)]
    assert sorted(r.key for r in records(actions)) == sorted(d.key for d in dates(actions))  # type: ignore[type-var]
