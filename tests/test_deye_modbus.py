"""Modbus RTU inside V5: what real bodies say, that no byte is lost, and what is refused.

The real bodies come from public reports: P and T are the projects of the protocol's sources, the
numbers are their issues. Serial numbers in them are stand-ins.
"""

import json
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inverterproto.checksum import crc16_modbus
from inverterproto.deye.modbus import (
    EXCEPTIONS,
    FUNCTIONS,
    AnyMessage,
    ExceptionReply,
    Reply,
    Request,
    StickError,
    Unknown,
    is_write,
    match_rtu,
    parse_reply,
    parse_request,
    problems,
    reply_from_fields,
    request_from_fields,
    to_fields,
)
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError


def sealed(text: str) -> bytes:
    """Return the bytes of a hex text with their CRC behind them."""
    message = bytes.fromhex(text)
    return message + crc16_modbus(message).to_bytes(2, "little")


# Real bytes.

# P issue 19, kbialek/deye-inverter-mqtt issue 189, P's decoder, T's tests
REAL_REQUESTS = {
    "010300aa0001a42a": Request(1, 3, 170, quantity=1),
    "0103003c003945d4": Request(1, 3, 0x3C, quantity=57),
    "01030003000575c9": Request(1, 3, 3, quantity=5),
    "010480fe00063838": Request(1, 4, 33022, quantity=6),
    "01062008000003c8": Request(1, 6, 0x2008, registers=(0,)),
    "010620080004020b": Request(1, 6, 0x2008, registers=(4,)),
}
MICRO_REPLY = (
    "0103720013000000001057000000130000000000001057000000000000096000000000000000000000138800000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000004000000"
    "0000000000000001320000000000000000000000000000e072"
)
SOFAR_REPLY = (
    "0103500002000000000000000000000736010d073d00d50031002700540000176d086e018800000000000000000000"
    "39af00001cd70c070271003000390d7e0736073d003c000000010000086a2ee02ee0001c5999"
)
STRAY_FF_REPLY = (
    "ff01036000011202121200000000000000000000402008be00001388003c00000258000d0127000700050123000700"
    "0301230007000600000001000001130003bdf5006300015b310058000128f10066000160e100000000061602000000"
    "000000000000590c"
)


@pytest.mark.parametrize("text", REAL_REQUESTS)
def test_a_real_request_says_what_is_asked_for(text: str) -> None:
    request = parse_request(bytes.fromhex(text))
    assert request == REAL_REQUESTS[text]
    assert request.build().hex() == text
    assert problems(request) == ()


def test_a_real_reply_gives_register_170() -> None:
    reply = parse_reply(bytes.fromhex("010302010a39d3"))
    assert reply == Reply(1, 3, registers=(266,))
    assert problems(reply) == ()


def test_the_registers_of_a_micro_inverter_at_night() -> None:
    reply = parse_reply(bytes.fromhex(MICRO_REPLY))
    assert isinstance(reply, Reply)
    values = dict(enumerate(reply.registers, start=0x3C))
    assert len(values) == 57
    assert (values[0x3C], values[0x3F]) == (19, 4183)
    assert (values[0x49], values[0x4F]) == (2400, 5000)  # 240.0 V, 50.00 Hz
    assert {at for at, value in values.items() if value} == {
        *(0x3C, 0x3F, 0x41, 0x45, 0x49, 0x4F, 0x67, 0x6D),
    }
    assert reply.build().hex() == MICRO_REPLY


def test_the_registers_of_another_maker() -> None:
    reply = parse_reply(bytes.fromhex(SOFAR_REPLY))
    assert isinstance(reply, Reply)
    assert len(reply.registers) == 40
    assert reply.registers[:8] == (2, 0, 0, 0, 0, 0, 0x0736, 0x010D)
    assert reply.registers[-4:] == (0x086A, 12000, 12000, 28)
    assert reply.build().hex() == SOFAR_REPLY


def test_a_second_crc_is_accepted_reported_and_built_again() -> None:
    # P issues 62, 65: a Deye string inverter gives its serial
    body = sealed("01030a32333031323334353637") + bytes(2)
    reply = parse_reply(body)
    assert isinstance(reply, Reply)
    assert reply.doubled_crc
    assert not reply.stray_ff
    assert b"".join(value.to_bytes(2, "big") for value in reply.registers) == b"2301234567"
    assert problems(reply) == ("second CRC behind the Modbus message",)
    assert reply.build() == body


def test_a_stray_ff_in_front_is_accepted_reported_and_built_again() -> None:
    # T issue 645
    reply = parse_reply(bytes.fromhex(STRAY_FF_REPLY))
    assert isinstance(reply, Reply)
    assert (reply.slave, reply.function, len(reply.registers)) == (1, 3, 48)
    assert reply.registers[:3] == (1, 0x1202, 0x1212)
    assert reply.registers[9:12] == (2238, 0, 5000)
    assert problems(reply) == ("stray byte 0xFF in front of the Modbus message",)
    assert reply.build().hex() == STRAY_FF_REPLY


@pytest.mark.parametrize(("text", "code"), [("0500", 5), ("0600", 6)])
def test_two_bytes_are_an_error_of_the_stick(text: str, code: int) -> None:
    # P issues 6, 14, 48; the same from a Sofar stick in StephanJoubert 80
    error = parse_reply(bytes.fromhex(text))
    assert error == StickError(code)
    assert error.build().hex() == text
    assert to_fields(error) == {"stick_error": code}
    assert problems(error) == (f"error {code} of the logger stick itself",)


def test_a_stick_error_keeps_what_stands_behind_it() -> None:
    error = parse_reply(bytes.fromhex("0500aabb"))
    assert error == StickError(5, b"\xaa\xbb")
    assert to_fields(error) == {"stick_error": 5, "tail": "aabb"}
    assert error.build().hex() == "0500aabb"


def test_a_reply_cut_short_is_no_stick_error() -> None:
    with pytest.raises(ProtocolError, match="cut at offset 4"):
        parse_reply(bytes.fromhex("01030201"))


def test_a_modbus_exception_is_no_stick_error() -> None:
    # wills106/homeassistant-solax-modbus issue 1906
    refusal = parse_reply(bytes.fromhex("018302c0f1"))
    assert refusal == ExceptionReply(1, 3, 2)
    assert isinstance(refusal, ExceptionReply)
    assert refusal.name == "illegal data address"
    assert to_fields(refusal) == {"slave": 1, "function": 3, "exception": 2}
    assert refusal.build().hex() == "018302c0f1"


def test_an_exception_without_a_standard_name_is_called_unknown() -> None:
    assert ExceptionReply(1, 3, 9).name == "unknown"
    assert ExceptionReply(1, 3, 11).name == EXCEPTIONS[11]


# Every function's message, by the examples of the Modbus specification where it has one.

REQUESTS: dict[str, Request | Unknown] = {
    "0101 0013 0013": Request(1, 1, 19, quantity=19),
    "0102 00c4 0016": Request(1, 2, 196, quantity=22),
    "0103 006b 0003": Request(1, 3, 107, quantity=3),
    "0104 0008 0001": Request(1, 4, 8, quantity=1),
    "0105 00ac ff00": Request(1, 5, 172, coils=(True,)),
    "0105 00ac 0000": Request(1, 5, 172, coils=(False,)),
    "0106 0001 0003": Request(1, 6, 1, registers=(3,)),
    "010f 0013 000a 02 cd01": Request(
        1,
        15,
        19,
        coils=(True, False, True, True, False, False, True, True, True, False),
    ),
    "0110 0001 0002 04 000a 0102": Request(1, 16, 1, registers=(10, 258)),
    "0116 0004 00f2 0025": Request(1, 22, 4, registers=(0xF2, 0x25)),
    "0117 0003 0006 000e 0003 06 00ff 00ff 00ff": Unknown(
        1, 23, bytes.fromhex("00030006000e00030600ff00ff00ff")
    ),
    "0107": Unknown(1, 7, b""),
}
REPLIES: dict[str, Reply | ExceptionReply | Unknown] = {
    "0101 01 05": Reply(1, 1, coils=(True, False, True, *[False] * 5)),
    "0102 02 0180": Reply(1, 2, coils=(True, *[False] * 14, True)),
    "0103 06 022b 0000 0064": Reply(1, 3, registers=(555, 0, 100)),
    "0104 02 000a": Reply(1, 4, registers=(10,)),
    "0105 00ac ff00": Reply(1, 5, address=172, coils=(True,)),
    "0106 0001 0003": Reply(1, 6, address=1, registers=(3,)),
    "010f 0013 000a": Reply(1, 15, address=19, quantity=10),
    "0110 0001 0002": Reply(1, 16, address=1, quantity=2),
    "0116 0004 00f2 0025": Reply(1, 22, address=4, registers=(0xF2, 0x25)),
    "0117 04 00fe 0acd": Reply(1, 23, registers=(254, 2765)),
    "0181 01": ExceptionReply(1, 1, 1),
    "01c1 07": ExceptionReply(1, 0x41, 7),
    "0141 aabb": Unknown(1, 0x41, b"\xaa\xbb"),
}


@pytest.mark.parametrize("text", REQUESTS)
def test_a_request_of_each_function(text: str) -> None:
    assert parse_request(sealed(text)) == REQUESTS[text]
    assert REQUESTS[text].build() == sealed(text)


@pytest.mark.parametrize("text", REPLIES)
def test_a_reply_of_each_function(text: str) -> None:
    assert parse_reply(sealed(text)) == REPLIES[text]
    assert REPLIES[text].build() == sealed(text)


@pytest.mark.parametrize("text", REPLIES)
def test_each_reply_may_have_both_quirks(text: str) -> None:
    body = b"\xff" + sealed(text) + bytes(2)
    reply = parse_reply(body)
    assert type(reply) is type(REPLIES[text])
    assert to_fields(reply) == to_fields(REPLIES[text]) | {"stray_ff": True, "doubled_crc": True}
    assert len(problems(reply)) == 2 + isinstance(reply, Unknown | ExceptionReply)
    assert reply.build() == body


@pytest.mark.parametrize(
    ("function", "writes"),
    [
        *[(function, False) for function in (1, 2, 3, 4)],
        *[(function, True) for function in (5, 6, 15, 16, 22, 23)],
        *[(function, None) for function in (0, 7, 8, 20, 21, 43, 0x83, 255)],
    ],
)
def test_which_functions_write(function: int, writes: bool | None) -> None:  # noqa: FBT001
    assert is_write(function) is writes


def test_every_function_has_a_name() -> None:
    assert FUNCTIONS[3].name == "read holding registers"
    assert len({known.name for known in FUNCTIONS.values()}) == len(FUNCTIONS) == 10


# What has a right CRC is never lost.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0103 0000 007e", "quantity: does not fit: expected 1 to 125, found 126"),
        ("0103 0000 0000", "quantity: does not fit: expected 1 to 125, found 0"),
        ("0101 0000 07d1", "quantity: does not fit: expected 1 to 2000, found 2001"),
        ("0103 0000 0001 00", "its bytes are not laid out as those of function 3"),
        ("0103 0000", "quantity: does not fit: expected 1 to 125, found 0"),
        ("0103", "quantity: does not fit: expected 1 to 125, found 0"),
        ("0105 0000 ff01", "its bytes are not laid out as those of function 5"),
        ("0106 0000 0001 0002", "number of registers: does not fit: expected 1 to 1, found 2"),
        ("010f 0000 0003 01 0f", "its bytes are not laid out as those of function 15"),
        ("010f 0000 0000 00", "coils: do not fit: expected a tuple of bool, found ()"),
        ("0110 0000 0001 04 0001 0002", "its bytes are not laid out as those of function 16"),
        ("0110 0000 0001 03 0001 00", "its bytes are not laid out as those of function 16"),
        ("0116 0000 0001", "number of registers: does not fit: expected 2 to 2, found 1"),
        ("0117 0000", "function: is kept raw: expected one taken apart here, found 23"),
        ("0141 0000", "function: is kept raw: expected one taken apart here, found 65"),
        ("0183 02", "function: is kept raw: expected one taken apart here, found 131"),
        ("0110 0000 0080" + "00" * 257, "its bytes are not laid out as those of function 16"),
    ],
)
def test_a_request_that_breaks_the_rules_is_kept_raw_with_the_reason(
    text: str, reason: str
) -> None:
    body = sealed(text)
    request = parse_request(body)
    assert isinstance(request, Unknown)
    assert request.build() == body
    assert request.reason == reason
    assert problems(request) == (f"Modbus message kept raw: {reason}",)
    assert request_from_fields(to_fields(request)) == request


def test_a_request_with_a_second_crc_is_no_quirk_but_raw() -> None:
    request = parse_request(sealed("010300aa0001") + bytes(2))
    assert request == Unknown(1, 3, bytes.fromhex("00aa0001a42a"))


@pytest.mark.parametrize(
    "text",
    [
        "0103 04 0001",
        "0103 03 000100",
        "0103 00",
        "0103 fc" + "0000" * 126,
        "0101 fb" + "00" * 251,
        "0183 02 02",
        "0105 0000 1234",
    ],
)
def test_a_reply_that_breaks_the_rules_is_kept_raw(text: str) -> None:
    reply = parse_reply(sealed(text))
    assert isinstance(reply, Unknown)
    assert reply.build() == sealed(text)
    assert problems(reply)[0].startswith("Modbus message kept raw: ")


def test_a_raw_message_without_a_reason_is_still_a_problem() -> None:
    assert problems(Unknown(1, 0x41, b"")) == ("Modbus message kept raw",)


def test_slave_255_is_not_taken_for_a_stray_byte() -> None:
    reply = parse_reply(sealed("ff03 02 0001"))
    assert reply == Reply(255, 3, registers=(1,))


# What has a wrong CRC, or ends too early.


@pytest.mark.parametrize("parse", [parse_request, parse_reply])
def test_a_wrong_crc_says_where_and_what(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ChecksumError) as raised:
        parse(bytes.fromhex("0106000100039a9b"))
    error = raised.value
    assert (error.offset, error.expected, error.found) == (6, "0x0b98", "0x9b9a")
    assert str(error) == "Modbus CRC at offset 6: expected 0x0b98, found 0x9b9a"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 4),
        ("01", 4),
        ("014100", 4),
        ("0103000000", 8),
        ("010f0013000a02cd", 11),
        ("01100001", 9),
        ("0116000400f2", 10),
        ("011700030006000e00030600", 19),
    ],
)
def test_a_request_that_is_cut_says_how_long_it_should_be(text: str, length: int) -> None:
    body = bytes.fromhex(text)
    with pytest.raises(IncompleteError) as raised:
        parse_request(body)
    error = raised.value
    assert (error.offset, error.expected, error.found) == (len(body), length, len(body))


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 4), ("01", 4), ("010304000100", 9), ("0110000100", 8), ("0103720000", 119)],
)
def test_a_reply_that_is_cut_says_how_long_it_should_be(text: str, length: int) -> None:
    with pytest.raises(IncompleteError) as raised:
        parse_reply(bytes.fromhex(text))
    assert raised.value.expected == length


def test_an_unknown_function_with_a_wrong_crc_is_a_checksum_error() -> None:
    with pytest.raises(ChecksumError):
        parse_reply(bytes.fromhex("0141000000"))
    with pytest.raises(ChecksumError):
        parse_reply(bytes.fromhex("01c1000000"))


# What cannot be built.


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Request(256, 3, 0, quantity=1), "slave"),
        (Request(-1, 3, 0, quantity=1), "slave"),
        (Request(1, 7, 0), "function"),
        (Request(1, 23, 0), "function"),
        (Request(1, 0x83, 0), "function"),
        (Request(1, 300, 0), "function"),
        (Request(1, function=True, address=0), "function"),
        (Request(1, 3, 0x10000, quantity=1), "address"),
        (Request(1, 3, 0), "quantity"),
        (Request(1, 3, 0, quantity=126), "quantity"),
        (Request(1, 1, 0, quantity=2001), "quantity"),
        (Request(1, 3, 0, quantity=1, registers=(1,)), "registers"),
        (Request(1, 3, 0, quantity=1, coils=(True,)), "coils"),
        (Request(1, 6, 0), "registers"),
        (Request(1, 6, 0, registers=(1, 2)), "number of registers"),
        (Request(1, 6, 0, registers=(0x10000,)), "registers"),
        (Request(1, 6, 0, registers=(-1,)), "registers"),
        (Request(1, 6, 0, registers=(True,)), "registers"),
        (Request(1, 6, 0, quantity=1, registers=(1,)), "quantity"),
        (Request(1, 16, 0, registers=(0,) * 124), "number of registers"),
        (Request(1, 15, 0, coils=(True,) * 1969), "number of coils"),
        (Request(1, 15, 0, coils=(1, 0)), "coils"),  # type: ignore[arg-type]
        (Request(1, 16, 0, registers=[1]), "registers"),  # type: ignore[arg-type]
        (Request(1, 22, 0, registers=(1,)), "number of registers"),
        (Reply(1, 3, address=0, registers=(1,)), "address"),
        (Reply(1, 3, registers=(0,) * 126), "number of registers"),
        (Reply(1, 1, coils=(True,) * 7), "coils"),
        (Reply(1, 1, coils=(True,) * 2008), "number of coils"),
        (Reply(1, 6, registers=(1,)), "address"),
        (Reply(1, 16, address=0, quantity=124), "quantity"),
        (ExceptionReply(1, 0x83, 2), "function"),
        (ExceptionReply(1, 3, 256), "exception"),
        (StickError(7), "stick_error"),
        (StickError(0), "stick_error"),
        (StickError(5, b"abc"), "length of tail"),
        (Unknown(1, 256, b""), "function"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(message: AnyMessage, name: str) -> None:
    with pytest.raises(FieldError) as raised:
        message.build()
    assert raised.value.field == name


# The plain-dict view.


def test_the_view_spells_its_keys_out_and_shows_quirks_only_when_present() -> None:
    assert to_fields(Request(1, 3, 170, quantity=1)) == {
        "slave": 1,
        "function": 3,
        "address": 170,
        "quantity": 1,
    }
    assert to_fields(Request(1, 5, 0, coils=(False,)))["coils"] == [False]
    assert to_fields(Reply(1, 3, registers=(266,))) == {
        "slave": 1,
        "function": 3,
        "registers": [266],
    }
    assert to_fields(Reply(1, 3, registers=(266,), doubled_crc=True))["doubled_crc"] is True
    assert to_fields(Unknown(1, 0x41, b"")) == {"slave": 1, "function": 0x41, "data": ""}


def test_null_in_a_view_is_absence() -> None:
    view = {"slave": 1, "function": 3, "registers": [1], "coils": None, "address": None}
    assert reply_from_fields(view) == Reply(1, 3, registers=(1,))


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ({}, "slave"),
        ({"slave": 1, "function": 3}, "address"),
        ({"slave": 1, "function": 3, "address": None, "quantity": 1}, "address"),
        ({"slave": "1", "function": 3, "address": 0, "quantity": 1}, "slave"),
        ({"slave": 1, "function": [3], "address": 0, "quantity": 1}, "function"),
        ({"slave": 1, "function": 6, "address": 0, "registers": "1"}, "registers"),
        ({"slave": 1, "function": 6, "address": 0, "registers": [[1]]}, "registers"),
        ({"slave": 1, "function": 6, "address": 0, "values": [1]}, "values"),
        ({"slave": 1, "function": 65, "data": "xy"}, "data"),
        ({"slave": 1, "function": 65, "data": 12}, "data"),
        ({"slave": 1, "function": 65, "data": ["00"]}, "data"),
        ({"slave": 1, "function": 65, "data": "00", "stray_ff": 1}, "stray_ff"),
        ({"slave": 1, "function": 65, "data": "00", "reason": "none"}, "reason"),
    ],
)
def test_a_request_view_that_does_not_fit_is_refused_by_key(
    view: dict[str, object], name: str
) -> None:
    with pytest.raises(FieldError) as raised:
        request_from_fields(view)
    assert raised.value.field == name


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ({"slave": 1, "function": 3}, "registers"),
        ({"slave": 1, "function": 3, "exception": 999}, "exception"),
        ({"slave": 1, "function": 3, "exception": 2, "code": 2}, "code"),
        ({"stick_error": 5, "slave": 1}, "slave"),
        ({"stick_error": None}, "stick_error"),
        ({"stick_error": 5, "tail": "aabbcc"}, "length of tail"),
        ({"slave": 1, "function": 3, "registers": [1], "doubled_crc": [1]}, "doubled_crc"),
    ],
)
def test_a_reply_view_that_does_not_fit_is_refused_by_key(
    view: dict[str, object], name: str
) -> None:
    with pytest.raises(FieldError) as raised:
        reply_from_fields(view)
    assert raised.value.field == name


# Bare Modbus RTU between frames.


@pytest.mark.parametrize(
    "text",
    [
        *REAL_REQUESTS,
        MICRO_REPLY,
        SOFAR_REPLY,
        "018302c0f1",
        "aa030a00000000000000000000be9c",  # P's test server
        "0103080100020232333038c75c",  # P's test server
    ],
)
def test_bare_rtu_is_recognised_wherever_it_stands(text: str) -> None:
    message = bytes.fromhex(text)
    assert match_rtu(message, 0) == len(message)
    assert match_rtu(b"\r\n" + message + b"\xa5\x17", 2) == len(message)
    for end in range(len(message)):
        assert match_rtu(message[:end], 0) == 0


@pytest.mark.parametrize("text", ["0117 0000 0001 0000 0001 02 0007", "0116 0004 00f2 0025"])
def test_bare_writes_of_rarer_functions_are_recognised(text: str) -> None:
    assert match_rtu(sealed(text), 0) == len(sealed(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01",
        "0103",
        "0103000000",
        "41542b595a434d505645523d4d57335f3136555f353430365f322e32370d0a0d0a",
        "00" * 300,
        "ff" * 300,
        "0103" + "00" * 300,
    ],
)
def test_what_is_no_bare_rtu_is_not_recognised(text: str) -> None:
    data = bytes.fromhex(text)
    assert [match_rtu(data, start) for start in range(len(data) + 2)] == [0] * (len(data) + 2)


def test_reserved_slaves_and_unknown_functions_are_not_recognised() -> None:
    assert match_rtu(sealed("f703 02 0001"), 0) == 7
    assert match_rtu(sealed("f803 02 0001"), 0) == 0
    assert match_rtu(sealed("0141 02 0001"), 0) == 0
    assert match_rtu(sealed("01c1 02"), 0) == 0


@pytest.mark.parametrize("text", ["0101 01 05", "0103 0500 0001"])
def test_zeros_behind_a_bare_message_are_not_taken_for_a_part_of_it(text: str) -> None:
    # with two zeros it has a right CRC too, and the length of the other direction's message
    message = sealed(text)
    assert match_rtu(message + bytes(2), 0) == len(message)


def test_no_more_than_256_bytes_are_recognised() -> None:
    assert match_rtu(sealed("0103 fb" + "00" * 251), 0) == 256
    assert match_rtu(sealed("0103 fc" + "00" * 252), 0) == 0


# Properties.

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
quirks = {"stray_ff": st.booleans(), "doubled_crc": st.booleans()}
raw_functions = st.integers(24, 0x7F)


def coils(most: int, step: int = 1) -> st.SearchStrategy[tuple[bool, ...]]:
    return st.integers(1, most // step).flatmap(
        lambda count: st.binary(min_size=count * step, max_size=count * step).map(
            lambda data: tuple(byte > 0x7F for byte in data)
        )
    )


def registers(most: int, least: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(u16, min_size=least, max_size=most).map(tuple)


def asks(
    functions: list[int], **attributes: st.SearchStrategy[object]
) -> st.SearchStrategy[Request]:
    function = st.sampled_from(functions)
    return st.builds(Request, slave=u8, function=function, address=u16, **attributes)


def answers(
    functions: list[int], **attributes: st.SearchStrategy[object]
) -> st.SearchStrategy[Reply]:
    return st.builds(Reply, slave=u8, function=st.sampled_from(functions), **attributes, **quirks)


requests = st.one_of(
    asks([1, 2], quantity=st.integers(1, 2000)),
    asks([3, 4], quantity=st.integers(1, 125)),
    asks([5], coils=coils(1)),
    asks([6], registers=registers(1)),
    asks([15], coils=coils(1968)),
    asks([16], registers=registers(123)),
    asks([22], registers=registers(2, 2)),
    st.builds(Unknown, slave=u8, function=raw_functions, data=st.binary()),
)
replies = st.one_of(
    answers([1, 2], coils=coils(2000, 8)),
    answers([3, 4, 23], registers=registers(125)),
    answers([5], address=u16, coils=coils(1)),
    answers([6], address=u16, registers=registers(1)),
    answers([15], address=u16, quantity=st.integers(1, 1968)),
    answers([16], address=u16, quantity=st.integers(1, 123)),
    answers([22], address=u16, registers=registers(2, 2)),
    st.builds(ExceptionReply, slave=u8, function=st.integers(0, 0x7F), code=u8, **quirks),
    st.builds(StickError, code=st.integers(1, 6), tail=st.binary(max_size=2)),
    st.builds(Unknown, u8, raw_functions, st.binary(min_size=1), **quirks),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "slave",
        "function",
        "address",
        "quantity",
        "coils",
        "registers",
        "exception",
        "stick_error",
        "tail",
        "data",
        "stray_ff",
        "doubled_crc",
        "code",
        "reason",
        "x",
    ]
)


@given(requests)
def test_what_is_built_as_a_request_is_read_as_it(request: Request | Unknown) -> None:
    assert parse_request(request.build()) == request


@given(replies)
def test_what_is_built_as_a_reply_is_read_as_it(
    reply: Reply | ExceptionReply | StickError | Unknown,
) -> None:
    assert parse_reply(reply.build()) == reply


@given(requests)
def test_a_request_survives_json(request: Request | Unknown) -> None:
    assert request_from_fields(json.loads(json.dumps(to_fields(request)))) == request


@given(replies)
def test_a_reply_survives_json(reply: Reply | ExceptionReply | StickError | Unknown) -> None:
    assert reply_from_fields(json.loads(json.dumps(to_fields(reply)))) == reply


@given(st.binary(min_size=2, max_size=300), st.sampled_from([*FUNCTIONS, 0x41, 0x83]))
def test_no_byte_of_a_body_with_a_right_crc_is_lost(data: bytes, function: int) -> None:
    head = bytes((data[0], function)) + data[1:]
    body = head + crc16_modbus(head).to_bytes(2, "little")
    for text in (body, b"\xff" + body, body + bytes(2), b"\xff" + body + bytes(2)):
        assert parse_reply(text).build() == text
    assert parse_request(body).build() == body


@given(requests | replies, st.data())
def test_no_byte_of_a_changed_message_is_lost(message: AnyMessage, data: st.DataObject) -> None:
    changed = bytearray(message.build())[:-2]
    assume(len(changed) > 2)
    at = data.draw(st.integers(1, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 0xFF))
    body = bytes(changed) + crc16_modbus(bytes(changed)).to_bytes(2, "little")
    assert parse_request(body).build() == body
    assert parse_reply(body).build() == body


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_as_a_protocol_error(body: bytes) -> None:
    for parse in (parse_request, parse_reply):
        try:
            message = parse(body)
        except ProtocolError as error:
            refused = error
        else:
            assert message.build() == body
            problems(message)
            continue
        assert refused.offset is not None
        assert str(refused)


@given(st.dictionaries(keys, json_values))
def test_any_view_is_taken_or_refused_as_a_field_error(view: dict[str, object]) -> None:
    for take, parse in ((request_from_fields, parse_request), (reply_from_fields, parse_reply)):
        with suppress(FieldError):
            message = take(view)
            assert parse(message.build()).build() == message.build()


@given(requests | replies, st.binary(max_size=20), st.binary(max_size=20))
def test_a_known_sound_message_is_recognised_bare(
    message: AnyMessage, before: bytes, behind: bytes
) -> None:
    assume(isinstance(message, Request | Reply) and message.slave <= 247)
    assume(not problems(message))
    rtu = message.build()
    found = match_rtu(before + rtu + behind, len(before))
    # A shorter message with a right CRC may stand in it by chance; it is as good as the whole.
    assert found == len(rtu) or (0 < found < len(rtu) and crc16_modbus(rtu[:found]) == 0)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_whatever_is_recognised_bare_has_a_right_crc(data: bytes, start: int) -> None:
    length = match_rtu(data, start)
    assert 0 <= length <= min(256, max(0, len(data) - start))
    if length:
        assert crc16_modbus(data[start : start + length]) == 0


def test_a_huge_body_is_refused_or_kept_in_little_time() -> None:
    body = sealed("010f 0000 07b0 f6" + "ff" * 65_000)
    assert parse_request(body) == Unknown(1, 15, body[2:-2])
    assert parse_reply(body + bytes(2)).build() == body + bytes(2)
    with pytest.raises(ChecksumError):
        parse_reply(body + b"\x01")
