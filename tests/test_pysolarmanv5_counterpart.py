"""pysolarmanv5 as the real counterpart: it talks to a stick that is nothing but our codec."""

import socket
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest
from pysolarmanv5 import PySolarmanV5, V5FrameError
from umodbus.exceptions import IllegalDataAddressError  # type: ignore[import-untyped]

from inverterproto.deye.bodies import COMMAND, COMMAND_REPLY, MODBUS_KIND
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.messages import Message, build_payload
from inverterproto.stream import Framed, StreamDecoder
from tests.vectors import AT_TEXT, frame, raw

LOGGER = 2712345678
PATIENCE = 10
"""Seconds after which a test gives up waiting for an event."""

Fields = dict[str, Any]
Answer = Callable[[Frame], list[Frame]]


class Stick(Thread):
    """A logger stick on the loopback: decodes what comes, sends what `answer` gives for it."""

    client_waits: Event

    def __init__(self, answer: Answer) -> None:
        super().__init__(daemon=True)
        self.answer = answer
        self.asked: list[Frame] = []
        self.read_by_client: SimpleQueue[bytes] = SimpleQueue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        decoder = StreamDecoder(FRAMING)
        with connection:
            while chunk := connection.recv(4096):
                for item in decoder.feed(chunk):
                    assert isinstance(item, Framed)
                    self.asked.append(item.frame)
                    # The client throws away what comes before it has noted that it waits.
                    self.client_waits.wait(PATIENCE)
                    for sent in self.answer(item.frame):
                        connection.sendall(sent.build())
                        # The client takes one read for one frame: let it read this one first.
                        self.read_by_client.get(timeout=PATIENCE)


class WatchedSocket(socket.socket):
    """Tells what is read from it."""

    read: SimpleQueue[bytes]

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self.read.put(data)
        return data


class Inverter:
    """Registers and coils behind the stick; what is not there is an illegal address."""

    def __init__(self, **quirks: bool) -> None:
        self.registers = dict(enumerate((7, 0, 65535, 2400, 5000), start=100))
        self.coils = dict(enumerate((True, False, True, True), start=20))
        self.quirks = quirks
        self.counter = 0

    def __call__(self, request: Frame) -> list[Frame]:
        asked = Message.parse(request).fields["modbus"]
        return [self.reply(request, self.carry_out(asked) | self.quirks)]

    def reply(self, request: Frame, modbus: Fields) -> Frame:
        self.counter += 1
        fields = {"frame_type": MODBUS_KIND, "status": 1, "offset_time": 0, "modbus": modbus}
        sequence = (request.sequence[0], self.counter)
        payload = build_payload(COMMAND_REPLY, fields)
        return Frame(COMMAND_REPLY << 8 | 0x10, sequence, request.logger_serial, payload)

    def carry_out(self, asked: Fields) -> Fields:
        whom = {"slave": asked["slave"], "function": asked["function"]}
        start, key = (
            asked["address"],
            "coils" if asked["function"] in (1, 2, 5, 15) else "registers",
        )
        memory: dict[int, Any] = getattr(self, key)
        values = asked.get(key, [None] * asked.get("quantity", 0))
        places = range(start, start + len(values))
        if not memory.keys() >= set(places):
            return whom | {"exception": 2}
        if key not in asked:
            found = [memory[place] for place in places]
            padding = [False] * (-len(found) % 8) if key == "coils" else []
            return whom | {key: found + padding}
        memory.update(zip(places, values, strict=True))
        told = {"quantity": len(values)} if asked["function"] > 6 else {key: values}
        return whom | {"address": start} | told


Connect = Callable[[Answer], tuple[Stick, PySolarmanV5]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Start a stick, and connect pysolarmanv5 to it."""
    clients: list[PySolarmanV5] = []

    def start(answer: Answer) -> tuple[Stick, PySolarmanV5]:
        stick = Stick(answer)
        client_socket = WatchedSocket(socket.AF_INET, socket.SOCK_STREAM)
        client_socket.read = stick.read_by_client
        client_socket.connect(stick.listener.getsockname())
        client = PySolarmanV5("", LOGGER, socket=client_socket, socket_timeout=PATIENCE)
        stick.client_waits = client._data_wanted
        clients.append(client)
        return stick, client

    yield start
    for client in clients:
        client.disconnect()


def test_the_real_request_and_the_real_reply_are_what_both_sides_make_of_them(
    connect: Connect,
) -> None:
    stick, client = connect(lambda _: [frame("modbus-read-reply")])
    client.sequence_number = 0x96
    assert client.read_holding_registers(170, 1) == [266]
    assert stick.asked == [frame("modbus-read-request")]
    assert stick.asked[0].build() == raw("modbus-read-request")


def test_registers_are_read_by_both_functions(connect: Connect) -> None:
    stick, client = connect(Inverter())
    assert client.read_holding_registers(100, 5) == [7, 0, 65535, 2400, 5000]
    assert client.read_input_registers(102, 2) == [65535, 2400]
    assert [Message.parse(asked).name for asked in stick.asked] == ["command", "command"]
    assert {asked.control_code for asked in stick.asked} == {COMMAND << 8 | 0x10}


def test_registers_are_written_one_and_several(connect: Connect) -> None:
    inverter = Inverter()
    stick, client = connect(inverter)
    assert client.write_holding_register(101, 42) == 42
    assert client.write_multiple_holding_registers(102, [1, 2, 3]) == 3
    assert list(inverter.registers.values()) == [7, 42, 1, 2, 3]
    assert client.masked_write_holding_register(101, or_mask=1) == 43
    assert [Message.parse(asked).fields["modbus"]["function"] for asked in stick.asked] == [
        6,
        16,
        3,
        6,
    ]


def test_coils_are_read_and_written(connect: Connect) -> None:
    inverter = Inverter()
    _, client = connect(inverter)
    assert client.read_coils(20, 4) == [1, 0, 1, 1]
    assert client.read_discrete_inputs(21, 2) == [0, 1]
    assert client.write_single_coil(21, 0xFF00) == 1
    assert client.write_multiple_coils(22, [0, 0]) == 2
    assert list(inverter.coils.values()) == [True, True, False, False]


def test_a_second_crc_disturbs_nobody(connect: Connect) -> None:
    _, client = connect(Inverter(doubled_crc=True))
    assert client.read_holding_registers(103, 2) == [2400, 5000]


def test_an_exception_of_the_inverter_is_one_on_the_other_side(connect: Connect) -> None:
    _, client = connect(Inverter())
    with pytest.raises(IllegalDataAddressError):
        client.read_holding_registers(104, 2)
    assert client.read_holding_registers(104, 1) == [5000]


def test_an_error_of_the_stick_is_no_modbus_for_the_other_side_either(connect: Connect) -> None:
    inverter = Inverter()
    _, client = connect(lambda request: [inverter.reply(request, {"stick_error": 5})])
    with pytest.raises(V5FrameError, match="EXCEPTION"):
        client.read_holding_registers(100, 1)


def test_unsolicited_frames_in_between_disturb_nobody(connect: Connect) -> None:
    inverter = Inverter()
    heartbeat = frame("heartbeat")

    def with_others(request: Frame) -> list[Frame]:
        echoing = Frame(heartbeat.control_code, request.sequence, LOGGER, heartbeat.payload)
        first = (request.sequence[0] + 1) % 256
        other = Frame(heartbeat.control_code, (first, 0), LOGGER, heartbeat.payload)
        data = Frame(0x4210, (first, 1), LOGGER, frame("micro-5408-realtime").payload)
        return [echoing, other, data, *inverter(request)]

    stick, client = connect(with_others)
    assert client.read_holding_registers(100, 3) == [7, 0, 65535]
    assert client.read_holding_registers(103, 2) == [2400, 5000]
    assert len(stick.asked) == 2


def test_our_own_side_takes_the_reply_out_of_whatever_is_glued_to_it() -> None:
    reply = raw("modbus-read-reply")
    items = StreamDecoder(FRAMING).feed(raw("heartbeat") + AT_TEXT + reply + raw("heartbeat"))
    names = [Message.parse(item.frame).name for item in items if isinstance(item, Framed)]
    assert names == ["heartbeat", "command_reply", "heartbeat"]
