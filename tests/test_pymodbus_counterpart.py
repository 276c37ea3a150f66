"""pymodbus as the real counterpart: it reads what we build, and we read what it builds.

Its RTU framer stands for a Modbus master and slave that know nothing of ours.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as words

from inverterproto.deye.modbus import (
    ExceptionReply,
    Reply,
    Request,
    parse_reply,
    parse_request,
)

SLAVE = FramerRTU(DecodePDU(is_server=True))
MASTER = FramerRTU(DecodePDU(is_server=False))

TEN = (True, False, True, True, False, False, True, True, True, False)
SIXTEEN = (*TEN, *TEN[:6])

REQUESTS = [
    (Request(1, 1, 19, quantity=19), bits.ReadCoilsRequest(1, address=19, count=19)),
    (Request(1, 2, 7, quantity=2000), bits.ReadDiscreteInputsRequest(1, address=7, count=2000)),
    (
        Request(1, 3, 170, quantity=1),
        words.ReadHoldingRegistersRequest(1, address=170, count=1),
    ),
    (
        Request(2, 4, 0xFFFF, quantity=125),
        words.ReadInputRegistersRequest(2, address=0xFFFF, count=125),
    ),
    (Request(1, 5, 172, coils=(True,)), bits.WriteSingleCoilRequest(1, address=172, bits=[True])),
    (Request(1, 5, 172, coils=(False,)), bits.WriteSingleCoilRequest(1, address=172, bits=[False])),
    (
        Request(1, 6, 0x2008, registers=(600,)),
        words.WriteSingleRegisterRequest(1, address=0x2008, registers=[600]),
    ),
    (
        Request(1, 15, 19, coils=TEN),
        bits.WriteMultipleCoilsRequest(address=19, bits=list(TEN), dev_id=1),
    ),
    (
        Request(1, 16, 40, registers=(1, 0xFFFF)),
        words.WriteMultipleRegistersRequest(1, address=40, registers=[1, 0xFFFF]),
    ),
    (
        Request(1, 22, 4, registers=(0xF2, 0x25)),
        words.MaskWriteRegisterRequest(address=4, and_mask=0xF2, or_mask=0x25, dev_id=1),
    ),
]
REPLIES = [
    (Reply(1, 1, coils=SIXTEEN), bits.ReadCoilsResponse(1, bits=list(SIXTEEN))),
    (Reply(1, 2, coils=SIXTEEN), bits.ReadDiscreteInputsResponse(1, bits=list(SIXTEEN))),
    (Reply(1, 3, registers=(266,)), words.ReadHoldingRegistersResponse(1, registers=[266])),
    (
        Reply(1, 4, registers=(0, 1, 0xFFFF)),
        words.ReadInputRegistersResponse(1, registers=[0, 1, 0xFFFF]),
    ),
    (
        Reply(1, 5, address=172, coils=(True,)),
        bits.WriteSingleCoilResponse(1, address=172, bits=[True]),
    ),
    (
        Reply(1, 6, address=0x2008, registers=(600,)),
        words.WriteSingleRegisterResponse(1, address=0x2008, registers=[600]),
    ),
    (
        Reply(1, 15, address=19, quantity=10),
        bits.WriteMultipleCoilsResponse(1, address=19, count=10),
    ),
    (
        Reply(1, 16, address=40, quantity=2),
        words.WriteMultipleRegistersResponse(1, address=40, count=2),
    ),
    (
        Reply(1, 22, address=4, registers=(0xF2, 0x25)),
        words.MaskWriteRegisterResponse(address=4, and_mask=0xF2, or_mask=0x25, dev_id=1),
    ),
    (ExceptionReply(1, 3, 2), ExceptionResponse(3, 2, device_id=1)),
    (ExceptionReply(1, 16, 11), ExceptionResponse(16, 11, device_id=1)),
]
COMPARED = (
    *("dev_id", "function_code", "address", "count", "bits", "registers", "exception_code"),
    *("and_mask", "or_mask"),
)


def read(framer: FramerRTU, body: bytes) -> ModbusPDU:
    used, message = framer.handleFrame(body, 0, 0)
    assert used == len(body)
    assert message is not None
    return message


def values(message: ModbusPDU) -> dict[str, object]:
    """Return what a message of pymodbus says; its count is left out where it is but a length."""
    said = {name: getattr(message, name) for name in COMPARED if hasattr(message, name)}
    if said["registers"]:
        del said["count"]
    return said


@pytest.mark.parametrize(("ours", "theirs"), REQUESTS)
def test_a_pymodbus_slave_reads_our_request(ours: Request, theirs: ModbusPDU) -> None:
    message = read(SLAVE, ours.build())
    assert type(message) is type(theirs)
    assert values(message) == values(theirs)


@pytest.mark.parametrize(("ours", "theirs"), REQUESTS)
def test_we_read_the_request_of_a_pymodbus_master(ours: Request, theirs: ModbusPDU) -> None:
    assert parse_request(MASTER.buildFrame(theirs)) == ours


@pytest.mark.parametrize(("ours", "theirs"), REPLIES)
def test_a_pymodbus_master_reads_our_reply(ours: Reply | ExceptionReply, theirs: ModbusPDU) -> None:
    message = read(MASTER, ours.build())
    assert type(message) is type(theirs)
    assert values(message) == values(theirs)


@pytest.mark.parametrize(("ours", "theirs"), REPLIES)
def test_we_read_the_reply_of_a_pymodbus_slave(
    ours: Reply | ExceptionReply, theirs: ModbusPDU
) -> None:
    assert parse_reply(SLAVE.buildFrame(theirs)) == ours


registers = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123)
coils = st.lists(st.booleans(), min_size=1, max_size=1968)
slaves = st.integers(1, 247)
addresses = st.integers(0, 0xFFFF)


@given(slaves, registers)
def test_both_write_the_same_registers_into_a_reply(slave: int, given_: list[int]) -> None:
    theirs = words.ReadHoldingRegistersResponse(slave, registers=given_)
    assert Reply(slave, 3, registers=tuple(given_)).build() == SLAVE.buildFrame(theirs)


@given(slaves, addresses, registers)
def test_both_write_the_same_registers_into_a_request(
    slave: int, address: int, given_: list[int]
) -> None:
    theirs = words.WriteMultipleRegistersRequest(slave, address=address, registers=given_)
    ours = Request(slave, 16, address, registers=tuple(given_))
    assert ours.build() == MASTER.buildFrame(theirs)


@given(slaves, addresses, coils)
def test_both_write_the_same_coils_into_a_request(
    slave: int, address: int, given_: list[bool]
) -> None:
    theirs = bits.WriteMultipleCoilsRequest(address=address, bits=given_, dev_id=slave)
    ours = Request(slave, 15, address, coils=tuple(given_))
    assert ours.build() == MASTER.buildFrame(theirs)
