"""What of the cloud's V5 frames may pass to a logger: conversations as tables."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.checksum import crc16_modbus, sum8
from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND, POWER_KIND
from inverterproto.deye.commands import command, reply
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.gate import AT_QUERIES, MOST_OUTSTANDING
from inverterproto.deye.modbus import Request
from inverterproto.deye.watching import MOST_LOGGERS, LoggerState
from inverterproto.families import DEYE
from inverterproto.gate import Gate, Rights
from inverterproto.session import MOST_UNFRAMED, Held, Send
from inverterproto.stream import StreamDecoder
from tests.playbook import GatePlaybook, closes, holds, sends
from tests.vectors import AT_TEXT, BARE_MODBUS_REQUEST, CLIENT_HELLO, fixtures, frame, raw

LOGGER = 2712345678
NOW = 1712596443.0
HEARTBEAT, DATA = raw("heartbeat"), raw("micro-5408-realtime")
REQUESTS = ["handshake-130", "micro-5408-realtime", "tsun-wifi", "heartbeat", "tsun-report"]
"""One of each of 0x41, 0x42, 0x43, 0x47, 0x48."""
FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])


def gate(rights: Rights = Rights.BLOCK) -> Gate:
    return DEYE.gate(rights, lambda _serial: LoggerState())


def play(rights: Rights = Rights.BLOCK) -> GatePlaybook:
    return GatePlaybook(gate(rights))


def answer(request: bytes, **changes: Any) -> bytes:  # noqa: ANN401 - of a frame
    """Return the cloud's reply to a request, some of the frame changed."""
    return replace(reply(Frame.parse(request), int(NOW)), **changes).build()


def asks(kind: int, value: object, *, serial: int = LOGGER, **head: int) -> bytes:
    sensor_type = head.get("sensor_type", 2 if kind == AT_KIND else 0)
    return command(kind, value, serial, (1, 2), sensor_type).build()


def modbus(function: int, data: str, slave: int = 1) -> bytes:
    """Return a Modbus command whose function and data are these, its CRC right."""
    body = bytes((slave, function)) + bytes.fromhex(data)
    return commanded(b"\2" + bytes(14) + body + crc16_modbus(body).to_bytes(2, "little"))


def commanded(payload: bytes, control_code: int = 0x4510, serial: int = LOGGER) -> bytes:
    return Frame(control_code, (1, 2), serial, payload).build()


# What a household needs


@FILTERS
@pytest.mark.parametrize("name", REQUESTS)
def test_the_reply_to_each_kind_of_request_passes_as_it_came_and_once(
    rights: Rights, name: str
) -> None:
    request = raw(name)
    play(rights)(
        (NOW, "device", request),
        (NOW, "cloud", answer(request), sends(answer(request))),
        (NOW + 1, "cloud", answer(request), holds(reason=UNASKED)),
    )


@FILTERS
def test_a_burst_of_stored_records_is_answered_in_any_order(rights: Rights) -> None:
    """The cloud's own counter runs on while the logger has seen none of the replies."""
    stored = [replace(frame("micro-5408-historic"), sequence=(255, n)).build() for n in range(11)]
    replies = [answer(each, sequence=(n, n)) for n, each in enumerate(stored)]
    play(rights)(
        (NOW, "device", b"".join(stored)),
        (NOW, "cloud", b"".join(replies[::-1]), *map(sends, replies[::-1])),
        (NOW, "cloud", replies[3], holds(reason=UNASKED)),
    )


def test_a_request_sent_twice_is_answered_twice() -> None:
    play()(
        (NOW, "device", HEARTBEAT + HEARTBEAT),
        (NOW, "cloud", answer(HEARTBEAT) * 2, *[sends(answer(HEARTBEAT))] * 2),
        (NOW, "cloud", answer(HEARTBEAT), holds(reason=UNASKED)),
    )


@FILTERS
def test_a_reply_cut_anywhere_passes_when_it_is_whole(rights: Rights) -> None:
    whole = answer(HEARTBEAT)
    for cut in range(1, len(whole)):
        play(rights)(
            (NOW, "device", HEARTBEAT),
            (NOW, "cloud", whole[:cut]),
            (NOW, "cloud", whole[cut:], sends(whole)),
        )


@FILTERS
def test_a_reply_passes_behind_what_is_held(rights: Rights) -> None:
    write = asks(MODBUS_KIND, Request(1, 6, 40, registers=(100,)))
    play(rights)(
        (NOW, "device", HEARTBEAT),
        (NOW, "cloud", b"junk" + write + answer(HEARTBEAT),
         holds("junk, 4 bytes"),
         holds("Modbus write 0x06 register 0x0028 = 100"),
         sends(answer(HEARTBEAT))),
    )  # fmt: skip


READS = [
    (1, Request(1, 1, 0, 2000)),
    (2, Request(1, 2, 5, 1)),
    (3, Request(1, 3, 0x3C, 57)),
    (4, Request(247, 4, 0xFFFF, 1)),
]


@pytest.mark.parametrize(("function", "request_"), READS)
def test_reading_registers_passes_in_read_only_alone(function: int, request_: Request) -> None:
    read = asks(MODBUS_KIND, request_, sensor_type=0x5408)
    play(Rights.READ_ONLY)((NOW, "device", DATA), (NOW, "cloud", read, sends(read)))
    (held,) = play(Rights.BLOCK)(
        (NOW, "device", DATA), (NOW, "cloud", read, holds(reason="no command may pass"))
    )
    assert isinstance(held, Held)
    assert held.meaning.startswith(f"Modbus read 0x0{function} ")


@pytest.mark.parametrize("text", AT_QUERIES)
def test_an_at_query_of_the_list_passes_in_read_only_alone(text: str) -> None:
    query = asks(AT_KIND, text)
    play(Rights.READ_ONLY)((NOW, "device", DATA), (NOW, "cloud", query, sends(query)))
    play(Rights.BLOCK)(
        (NOW, "device", DATA), (NOW, "cloud", query, holds(text.strip(), reason=NO_COMMAND))
    )


def test_no_query_of_the_list_sets_anything_or_tells_a_password() -> None:
    assert all(text.startswith("AT+") and text.endswith("\r") for text in AT_QUERIES)
    assert not [text for text in AT_QUERIES if set("=?,\n ") & set(text) or text.count("\r") > 1]
    assert not {"AT+Z\r", "AT+RELD\r", "AT+ENTM\r", "AT+WSKEY\r", "AT+WEBU\r"} & {*AT_QUERIES}


# What never passes

WRITES = {
    "Modbus write 0x05 coil 0x0003 = 1": modbus(5, "0003ff00"),
    "Modbus write 0x06 register 0x0028 = 100": modbus(6, "00280064"),
    "Modbus write 0x0F coils 0x0003 to 0x0004 = 1, 0": modbus(15, "000300020101"),
    "Modbus write 0x10 registers 0x0028 to 0x0029 = 100, 101": modbus(16, "0028000204" "00640065"),
    "Modbus write 0x10 registers 0x0000 to 0x0004 = 1, 2, 3, 4, …": asks(
        MODBUS_KIND, Request(1, 16, 0, registers=(1, 2, 3, 4, 5))
    ),
    "Modbus write 0x16 register 0x0004: and 0x00F2, or 0x0025": modbus(22, "000400f20025"),
    "Modbus function 0x17, 17 bytes": modbus(23, "0003000600" "0e000102" "00ff00ff"),
    "Modbus function 0x2B, 7 bytes": modbus(43, "0e0100"),
    "Modbus function 0x08, 8 bytes": modbus(8, "00010000"),
    "Modbus function 0x83, 5 bytes": modbus(0x83, "02"),
    "Modbus read 0x03 registers 0xFFFF to 0x10000": modbus(3, "ffff0002"),
    "Modbus function 0x03, 8 bytes": modbus(3, "00030000"),
    "Modbus read 0x03 register 0x0003": modbus(3, "00030001", slave=0),
    "Modbus read 0x04 register 0x0003": modbus(4, "00030001", slave=248),
    "Modbus function 0x03, 9 bytes": commanded(
        Frame.parse(modbus(3, "00030001")).payload + b"\0"
    ),
    "Modbus that cannot be read, 16 bytes": commanded(
        b"\2" + bytes(14) + Frame.parse(modbus(3, "00030001")).payload[15:]
        + Frame.parse(modbus(6, "00280064")).payload[15:]
    ),
    "Modbus that cannot be read, 0 bytes": commanded(b"\2" + bytes(14)),
    "AT+Z (restart)": asks(AT_KIND, "AT+Z\r"),
    "AT+RELD (factory settings)": asks(AT_KIND, "at+reld\r"),
    "AT+TIME=": asks(AT_KIND, "AT+TIME=214028,1,60,120\r"),
    "AT+TIME": asks(AT_KIND, "AT+TIME\r"),
    "AT+UPURL=": asks(AT_KIND, "AT+UPURL=http://user:secret@example.org/\r"),
    "AT+SUPDATE (firmware update)": asks(AT_KIND, "AT+SUPDATE\r"),
    "AT+WSKEY=": asks(AT_KIND, "AT+WSKEY=WPA2PSK,AES,secret\r"),
    "AT+WSKEY": asks(AT_KIND, "AT+WSKEY\r"),
    "AT+INVDATA=": asks(AT_KIND, "AT+INVDATA=8,010600280064c9e9\r"),
    "AT+VER, AT+Z (restart)": asks(AT_KIND, "AT+VER\rAT+Z\r"),
    "AT+VER, AT+Z (restart), AT+A=, AT+B and 1 more": asks(
        AT_KIND, "AT+VER\nAT+Z\nAT+A=1\nAT+B\nAT+C\n"
    ),
    "AT text, 4 bytes": asks(AT_KIND, "ATZ\r"),
    "AT text, 0 bytes": asks(AT_KIND, ""),
    "output power limit 300 W": asks(POWER_KIND, 300, sensor_type=0x3026),
    "a command of kind 0x05, 2 bytes": commanded(b"\5" + bytes(14) + b"\1\1"),
    "a command of kind 0x07, 8 bytes": commanded(b"\7" + bytes(14) + BARE_MODBUS_REQUEST),
    "a command of kind 0x?, 0 bytes": commanded(b""),
    "a message of type 0x42 (data), 330 bytes": DATA,
    "a message of type 0x15 (command_reply), 21 bytes": raw("modbus-read-reply"),
    "a message of type 0x05 (interim_reply), 37 bytes": raw("tsun-at-interim-reply"),
    "a message of type 0x14 (unknown), 10 bytes": answer(HEARTBEAT, control_code=0x1410),
    "a message of type 0x77 (unknown), 0 bytes": commanded(b"", 0x7710),
}  # fmt: skip
UNASKED, NO_COMMAND = "it answers no request that is outstanding", "no command may pass"


@FILTERS
@pytest.mark.parametrize("meaning", WRITES)
def test_what_writes_or_is_not_known_is_held_and_told(rights: Rights, meaning: str) -> None:
    write = WRITES[meaning]
    (held,) = play(rights)(
        (NOW, "device", HEARTBEAT + DATA),
        (NOW, "cloud", write, holds(meaning, sender="cloud", kind="held", device=str(LOGGER))),
    )
    assert isinstance(held, Held)
    assert held.reason
    assert held.record.family == "deye"
    assert not held.record.known
    assert "secret" not in str(held)
    assert len(held.record.frame) == len(write)
    assert held.record.masked is (held.record.frame != write)
    assert Frame.parse(held.record.frame)


@pytest.mark.parametrize("text", [
    "AT+VER", "AT+VER\n", "AT+VER\r\n", "AT+VER\r\r", "at+ver\r", " AT+VER\r", "AT+VER \r",
    "AT+VER=1\r", "AT+VER?\r", "AT+VER\0\r", "AT+VERZ\r", "\rAT+VER\r", "AT+VER\r\0",
    "AT+VER\xa0\r",
])  # fmt: skip
def test_an_at_query_passes_to_the_letter_only(text: str) -> None:
    play(Rights.READ_ONLY)(
        (NOW, "device", DATA),
        (NOW, "cloud", asks(AT_KIND, text),
         holds(reason="not an AT query that is known to change nothing")),
    )  # fmt: skip


READ = Frame.parse(asks(MODBUS_KIND, Request(1, 3, 60, 2)))


@pytest.mark.parametrize(
    "odd",
    [
        commanded(READ.payload[:3] + b"\1" + READ.payload[4:]),
        commanded(READ.payload[:14] + b"\1" + READ.payload[15:]),
        commanded(READ.payload[:14]),
        commanded(READ.payload, 0x4511),
        commanded(READ.payload, 0x4500),
        commanded(READ.payload, serial=LOGGER + 1),
        asks(AT_KIND, "AT+VER\r", sensor_type=0),
        commanded(b"\1" + READ.payload[1:]),
        commanded(b"\x12" + READ.payload[1:]),
    ],
)
def test_a_read_in_another_form_than_is_known_is_held(odd: bytes) -> None:
    play(Rights.READ_ONLY)((NOW, "device", DATA), (NOW, "cloud", odd, holds()))


@FILTERS
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"logger_serial": LOGGER + 1}, UNASKED),
        ({"sequence": (0x98, 0x6E)}, UNASKED),
        ({"sequence": (0x97, 0x6D)}, UNASKED),
        ({"sequence": (0x10, 0x6D)}, None),
        ({"sequence": (0x18, 0x6D)}, UNASKED),
        ({"control_code": 0x1210}, UNASKED),
        ({"control_code": 0x1711}, UNASKED),
        ({"payload": b"\1\1" + bytes(8)}, UNASKED),
        ({"payload": b"\0\0" + bytes(8)}, "status 0x00 is not known"),
        ({"payload": b"\0\1" + bytes(7)}, "a reply has 10 bytes"),
        ({"payload": b"\0\1" + bytes(9)}, "a reply has 10 bytes"),
        ({"payload": b"\0\1" + bytes(8) + b"AT+Z\r"}, "a reply has 10 bytes"),
        ({"payload": b""}, "a reply has 10 bytes"),
    ],
)
def test_a_reply_that_does_not_fit_its_request_is_held_and_leaves_it_open(
    rights: Rights, changes: dict[str, Any], reason: str | None
) -> None:
    good, changed = answer(HEARTBEAT), answer(HEARTBEAT, **changes)
    fits = reason is None
    play(rights)(
        (NOW, "device", HEARTBEAT),
        (NOW, "cloud", changed, sends(changed) if fits else holds(reason=reason)),
        (NOW, "cloud", good, holds(reason=UNASKED) if fits else sends(good)),
    )


def test_what_a_reply_says_is_told() -> None:
    play()(
        (NOW, "device", raw("modbus-read-reply")),
        (NOW, "cloud", answer(HEARTBEAT),
         holds("heartbeat reply: time 2024-04-08T17:14:03Z, heartbeat in 60 s")),
        (NOW, "cloud", answer(HEARTBEAT, payload=b""), holds("heartbeat reply, 0 bytes")),
    )  # fmt: skip


def test_a_request_of_a_kind_that_is_not_known_gets_no_reply() -> None:
    request = commanded(b"\1\2", 0x4410)
    play()((NOW, "device", request), (NOW, "cloud", answer(request), holds()))


def test_a_request_without_a_payload_is_answered() -> None:
    request = commanded(b"", 0x4710)
    play()((NOW, "device", request), (NOW, "cloud", answer(request), sends(answer(request))))


@FILTERS
def test_damaged_frames_bare_modbus_text_and_tls_are_held(rights: Rights) -> None:
    write = WRITES["Modbus write 0x06 register 0x0028 = 100"]
    damaged = write[:-2] + bytes((write[-2] ^ 1, write[-1]))
    body = bytes.fromhex("010600280064")
    bare = body + crc16_modbus(body).to_bytes(2, "little")
    secret = b"AT+WSKEY=secret\r"
    runs = [
        (damaged, "bad checksum, 36 bytes"),
        (write[:-1] + b"\0", "bad end marker, 36 bytes"),
        (bare, "bare Modbus RTU, 8 bytes"),
        (AT_TEXT, f"AT text, {len(AT_TEXT)} bytes"),
        (secret, "AT text, 16 bytes"),
        (CLIENT_HELLO, f"TLS ClientHello, {len(CLIENT_HELLO)} bytes"),
        (write[:20], "truncated, 20 bytes"),
    ]
    book = play(rights)
    book((NOW, "device", HEARTBEAT))
    for run, meaning in runs:
        masked = run.replace(b"secret", b"******")
        (held,) = [action for action in book.hear(NOW, run) if isinstance(action, Held)]
        assert (held.meaning, held.reason) == (meaning, "no whole frame")
        assert held.record.frame == masked
        assert held.record.family is None
    book((NOW, "cloud", answer(HEARTBEAT), sends(answer(HEARTBEAT))))


@FILTERS
def test_a_command_cut_over_segments_or_inside_a_broken_frame_is_held(rights: Rights) -> None:
    write = WRITES["Modbus write 0x06 register 0x0028 = 100"]
    longer = b"\xa5\x40\x00\x10\x17\x00\x00" + write + bytes(60)
    rows: list[Any] = [(NOW, "device", HEARTBEAT)]
    rows += [(NOW, "cloud", write[at : at + 1]) for at in range(len(write) - 1)]
    rows += [
        (NOW, "cloud", write[-1:], holds("Modbus write 0x06 register 0x0028 = 100")),
        (NOW, "cloud", longer, holds(), holds("Modbus write 0x06 register 0x0028 = 100")),
        (NOW, "cloud", None, holds("junk, 60 bytes")),
    ]
    play(rights)(*rows)


@FILTERS
def test_64_kib_without_a_frame_close_and_nothing_passes_behind_them(rights: Rights) -> None:
    book = play(rights)
    book((NOW, "device", HEARTBEAT))
    junk = bytes(MOST_UNFRAMED - 4096)
    book((NOW, "cloud", junk, *[holds("junk, 4096 bytes")] * 15))
    behind = WRITES["AT+Z (restart)"] + answer(HEARTBEAT)
    book((NOW, "cloud", bytes(4096) + behind, holds(), closes()))
    book((NOW, "cloud", behind + bytes(MOST_UNFRAMED)))


def test_a_frame_begins_the_count_anew() -> None:
    book = play()
    book((NOW, "device", HEARTBEAT))
    junk = bytes(MOST_UNFRAMED - 4096)
    for _ in range(3):
        book(
            (NOW, "cloud", junk, *[holds()] * 15), (NOW, "cloud", WRITES["AT+Z (restart)"], holds())
        )


# Until it is known who speaks


@FILTERS
def test_nothing_passes_before_the_device_has_sent_a_frame(rights: Rights) -> None:
    query = asks(AT_KIND, "AT+VER\r")
    play(rights)(
        (NOW, "cloud", query, holds(f"a frame of deye, {len(query)} bytes",
                                    reason="the device has said no frame yet", device=None)),
        (NOW, "device", AT_TEXT + HEARTBEAT[:-1] + b"\0"),
        (NOW, "cloud", query, holds(reason="the device has said no frame yet")),
        (NOW, "device", HEARTBEAT),
        (NOW, "cloud", answer(HEARTBEAT), sends(answer(HEARTBEAT))),
    )  # fmt: skip


@FILTERS
def test_a_device_of_another_family_opens_nothing(rights: Rights) -> None:
    status, success = fixtures("alphaess")["status-1"], fixtures("alphaess")["status-reply"]
    play(rights)(
        (NOW, "device", status),
        (NOW, "cloud", success, holds(f"a frame of alphaess, {len(success)} bytes", family=None)),
        (NOW, "cloud", answer(HEARTBEAT), holds(reason="the device has said no frame yet")),
        (NOW, "device", HEARTBEAT + status),
        (NOW, "cloud", success, holds(reason="the device speaks another protocol")),
    )


def test_frames_of_another_family_count_towards_the_64_kib() -> None:
    success = fixtures("alphaess")["status-reply"]
    many = MOST_UNFRAMED // len(success) + 1
    book = play()
    book((NOW, "device", HEARTBEAT))
    book((NOW, "cloud", success * (many - 1), *[holds()] * (many - 1)))
    book((NOW, "cloud", success, holds(), closes()))


# Bounds


def test_the_oldest_of_too_many_requests_is_forgotten() -> None:
    requests = [
        replace(Frame.parse(HEARTBEAT), logger_serial=serial).build()
        for serial in range(MOST_OUTSTANDING + 1)
    ]
    book = play()
    book((NOW, "device", b"".join(requests)))
    book((NOW, "cloud", answer(requests[0]), holds(reason=UNASKED)))
    for request in requests[1:]:
        book((NOW, "cloud", answer(request), sends(answer(request))))


def test_commands_pass_to_so_many_loggers_of_a_connection_only() -> None:
    book = play(Rights.READ_ONLY)
    for serial in range(MOST_LOGGERS + 1):
        beat = replace(Frame.parse(HEARTBEAT), logger_serial=serial).build()
        read = asks(MODBUS_KIND, Request(1, 3, 60, 2), serial=serial)
        passes = sends(read) if serial < MOST_LOGGERS else holds()
        book((NOW, "device", beat), (NOW, "cloud", read, passes))


def test_what_is_held_for_a_logger_that_is_not_wanted_names_nobody() -> None:
    book = GatePlaybook(DEYE.gate(Rights.BLOCK, lambda _serial: None))
    restart = WRITES["AT+Z (restart)"]
    book((NOW, "device", HEARTBEAT), (NOW, "cloud", restart, holds(device=None)))


# Whatever the cloud sends


def fits(request: bytes, data: bytes) -> bool:
    """Return whether bytes are a good reply to a request, by the protocol's page."""
    return (
        len(data) == 23
        and data[:3] == b"\xa5\x0a\x00"
        and data[3] == request[3]
        and data[4] == request[4] - 0x30
        and 1 <= (data[5] - request[5]) % 256 <= 128
        and data[6:11] == request[6:11]
        and data[11] == request[11]
        and data[12] == 1
        and data[21] == sum(data[1:21]) % 256
        and data[22] == 0x15
    )


@st.composite
def sendings(draw: st.DrawFn) -> bytes:
    """Give what a cloud may send: good frames, frames a little wrong, and anything."""
    good = [answer(raw(name)) for name in REQUESTS]
    data = bytearray(draw(st.sampled_from([*good, *WRITES.values(), asks(AT_KIND, "AT+VER\r")])))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data[-2] = sum8(bytes(data), 1, len(data) - 2)
    return draw(st.one_of(st.just(bytes(data)), st.just(bytes(data)), st.binary(max_size=40)))


@given(st.lists(st.sampled_from(REQUESTS)), st.lists(sendings(), max_size=12), st.integers(1, 60))
def test_whatever_a_cloud_sends_only_good_replies_to_outstanding_requests_pass(
    names: list[str], sent: list[bytes], size: int
) -> None:
    closed, data = gate(), b"".join(sent)
    outstanding = [raw(name) for name in names]
    for request in outstanding:
        for item in StreamDecoder(FRAMING).feed(request):
            closed.device_said(item, NOW)
    decoder = StreamDecoder(FRAMING)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    items = [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.flush()
    for item in items:
        actions = closed.cloud_said(item, NOW)
        passed = [action.data for action in actions if isinstance(action, Send)]
        held = [action for action in actions if isinstance(action, Held)]
        assert len(passed) + len(held) == 1
        for each in passed:
            answered = next(request for request in outstanding if fits(request, each))
            outstanding.remove(answered)
        if held:
            assert not any(fits(request, item.raw) for request in outstanding)
