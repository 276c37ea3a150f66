"""What a logger stick is, and what it says of itself: the payloads of its messages.

`Stick` holds what the messages tell; the three times of each come from the session. Values are
those of a simulated device unless others are given: serials of their own kind, an address that is
nobody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inverterproto.deye.dating import Stamp
from inverterproto.deye.layouts.head import HEAD_ONLY
from inverterproto.deye.messages import (
    DATA,
    HANDSHAKE,
    HEARTBEAT,
    HISTORIC,
    REPORT,
    WIFI,
    build_payload,
)

Measured = bytes | Mapping[str, Any]
"""The payload of a data frame, or its fields. What the head tells is the stick's own matter."""

_LIVE = 0x01
_INVERTER = 0x02
_NETWORK, _SERIAL = 0x0C, 0x1C
_REPORT_TAIL = b"\xff" * 0x2C


@dataclass(frozen=True, slots=True)
class Stick:
    """A logger stick and the inverter at it.

    Attributes:
        serial: the stick's.
        inverter_serial: the inverter's, at most 16 characters.
        sensor_type: of its data.
        firmware: the stick's, at most 40 characters.
        hardware: of the collector, at most 40 characters.
        ssid: the network's name, at most 30 bytes.
        ip: the stick's address.
        signal_strength: in percent.
        upload_minutes: from one data frame to the next.
        collect_seconds: from one look at the inverter to the next.
        heartbeat_seconds: while the cloud does not tell.
    """

    serial: int = 4_290_000_000
    inverter_serial: str = "SIM0000001"
    sensor_type: int = 0x5408
    firmware: str = "SIM_16U_5406_1.0"
    hardware: str = "V1.1.00.0B"
    ssid: str = "SIMULATED"
    ip: str = "192.0.2.10"
    signal_strength: int = 60
    upload_minutes: int = 5
    collect_seconds: int = 60
    heartbeat_seconds: int = 120

    def handshake(self, times: Stamp) -> bytes:
        """Return the payload of a handshake."""
        fields = {
            "frame_type": _INVERTER,
            **times._asdict(),
            "upload_interval_minutes": self.upload_minutes,
            "collect_interval_seconds": self.collect_seconds,
            "heartbeat_interval_seconds": self.heartbeat_seconds,
            "max_connected_devices": 1,
            "signal_strength": self.signal_strength,
            "logger_firmware": self.firmware,
            # A locally administered address.
            "mac": (b"\x02\0" + self.serial.to_bytes(4, "big")).hex(":"),
            "ip": self.ip,
            "sensor_type_count": 1,
            "sensor_type": self.sensor_type,
            "hardware_version": self.hardware,
            "ssid": self.ssid,
        }
        return build_payload(HANDSHAKE, fields)

    def network(self, times: Stamp, frame_type: int = _LIVE) -> bytes:
        """Return the payload of a wifi message that tells the network."""
        fields = {
            "frame_type": frame_type,
            **times._asdict(),
            "sub_id": _NETWORK,
            "ssid": self.ssid,
            "signal_strength": self.signal_strength,
            "unknown_46": 1,
        }
        return build_payload(WIFI, fields)

    def inverter(self, times: Stamp) -> bytes:
        """Return the payload of a wifi message that tells the inverter's serial."""
        fields = {
            "frame_type": _LIVE | HISTORIC,
            **times._asdict(),
            "sub_id": _SERIAL,
            "inverter_serial": self.inverter_serial,
        }
        return build_payload(WIFI, fields)

    def report(self, times: Stamp) -> bytes:
        """Return the payload of a report."""
        fields = {
            "frame_type": _LIVE,
            **times._asdict(),
            "unknown_13": 1,
            "unknown_14": 5,
            "following_length": len(_REPORT_TAIL),
            "unknown_16": _REPORT_TAIL,
        }
        return build_payload(REPORT, fields)

    def data(self, measured: Measured, times: Stamp, packet_counter: int) -> bytes:
        """Return the payload of a live data frame.

        Raises:
            FieldError: a field is not in the layout of the sensor type, or cannot carry its value.
        """
        head = {
            "frame_type": _LIVE,
            **times._asdict(),
            "unknown_15": 1,
            "packet_counter": packet_counter & 0xFFFFFFFF,
        }
        if isinstance(measured, Mapping):
            return build_payload(DATA, {"sensor_type": self.sensor_type, **measured, **head})
        return HEAD_ONLY.build(head, measured)


def heartbeat(_times: Stamp) -> bytes:
    """Return the payload of a heartbeat."""
    return build_payload(HEARTBEAT, {"frame_type": 0})


def with_offset(payload: bytes, offset: int) -> bytes:
    """Return a live data payload with the offset time that is known now."""
    return HEAD_ONLY.build({"offset_time": offset}, payload)


def as_historic(payload: bytes, offset: int) -> bytes:
    """Return a live data payload as it is kept, to be sent later."""
    return HEAD_ONLY.build({"frame_type": _LIVE | HISTORIC, "offset_time": offset}, payload)
