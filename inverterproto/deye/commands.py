"""Frames that answer or command, built from nothing.

`reply` is what the cloud says to a device frame (and how the device gets its clock); `command` is
what it asks of a device. Who changes a frame that is there uses `Message.replace`.
"""

import struct
from typing import Any

from inverterproto.checksum import sum8
from inverterproto.deye import payloads
from inverterproto.deye.bodies import BODIES, COMMAND
from inverterproto.deye.frame import END, ENVELOPE, PAYLOAD_AT, START, Frame
from inverterproto.deye.messages import CONTROL_LOW, REPLY_STEP, build_payload, is_request
from inverterproto.errors import FieldError, ProtocolError

_unpack_envelope = struct.Struct("<BBBBI").unpack_from  # from the control code on
_REPLY = struct.Struct("<BHBBBBIBBII")
_REPLY_LENGTH = payloads.CLOUD_REPLY.size
_REPLY_TAILS = [bytes(((total - START) & 0xFF, END)) for total in range(256)]
"""Checksum and end marker, by the sum of all bytes before them."""


def reply(request: Frame, time: int, *, next_heartbeat: int = 60, status: int = 1) -> Frame:
    """Return the cloud's reply to a device frame.

    Args:
        request: a frame that expects a reply (0x41, 0x42, 0x43, 0x47, 0x48 or another 0x4x).
        time: unix time in seconds: this is how the device gets its clock.
        next_heartbeat: seconds until the device's next heartbeat.
        status: 1 for accepted.

    Raises:
        ProtocolError: the frame expects no reply.
        FieldError: a value is out of range.
    """
    if not is_request(request.message_type):
        raise ProtocolError(
            "no request", offset=4, expected="a message type 0x4x", found=hex(request.message_type)
        )
    first, second = request.sequence
    frame_type = request.payload[0] if request.payload else 0
    try:
        payload = payloads.CLOUD_REPLY.pack(frame_type, status, time, next_heartbeat)
    except struct.error:
        # Slower, but it says which value does not fit.
        values = {"status": status, "time": time, "next_heartbeat": next_heartbeat}
        payload = payloads.CLOUD_REPLY.build({"frame_type": frame_type, **values})
    code = request.control_code - (REPLY_STEP << 8)
    return Frame(code, ((first + 1) & 0xFF, second), request.logger_serial, payload)


def reply_bytes(request: bytes, time: int, next_heartbeat: int) -> bytes:
    """Return the bytes of `reply` to the bytes of a request: the same, in a third of the time.

    For servers of thousands of loggers.

    Raises:
        struct.error: a value is out of range.
    """
    low, message_type, first, second, serial = _unpack_envelope(request, 3)
    body = _REPLY.pack(
        START,
        _REPLY_LENGTH,
        low,
        message_type - REPLY_STEP,
        (first + 1) & 0xFF,
        second,
        serial,
        request[PAYLOAD_AT] if len(request) > ENVELOPE else 0,
        1,
        time,
        next_heartbeat,
    )
    return body + _REPLY_TAILS[sum8(body, 0, _REPLY.size)]


def command(
    kind: int,
    value: Any,  # noqa: ANN401 - by kind
    logger_serial: int,
    sequence: tuple[int, int] = (0, 0),
    sensor_type: int = 0,
) -> Frame:
    """Return a command frame (0x45).

    Args:
        kind: `MODBUS_KIND`, `AT_KIND` or `POWER_KIND`.
        value: a `modbus.Request`, or one in the form of `modbus.to_fields`; AT text with its CR;
            or watts.
        logger_serial: of the logger that shall carry it out.
        sequence: the two counters; who begins a command counts the first on.
        sensor_type: 0 or the sensor type for Modbus, 2 for AT text, the sensor type for power.

    Raises:
        FieldError: a value is out of range.
    """
    body = BODIES[COMMAND].get(kind)
    if body is None:
        raise FieldError("frame_type", "no kind of command", expected="1, 2 or 5", found=kind)
    fields = {"frame_type": kind, "sensor_type": sensor_type, "offset_time": 0, body.key: value}
    payload = build_payload(COMMAND, fields)
    return Frame(COMMAND << 8 | CONTROL_LOW, sequence, logger_serial, payload)
