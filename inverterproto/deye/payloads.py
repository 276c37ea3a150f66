"""The payloads of all messages but data: handshake, wifi, report, heartbeat, commands, replies.

Offsets are those of the payload. Sources are named in the protocol pages; the handshake was seen
with 86, 130, 212 and 314 bytes, each a shorter or longer form of the same layout.
"""

from construct import Int8ul, Int16ub, Int16ul, Int32ul

from inverterproto.deye.layouts.head import FRAME_TYPE, times
from inverterproto.layout import Field, Layout, Mac, Raw, Text, measured
from inverterproto.private import Private

HEADER = Layout(
    "header",
    "V5 envelope, before the payload",
    (
        Field(0, "start", Int8ul, hexadecimal=True, source="H, M, P, T, X", meaning="0xA5"),
        Field(1, "payload_length", Int16ul, unit="bytes", source="H, M, P, T, X"),
        Field(
            3,
            "control_code",
            Int16ul,
            hexadecimal=True,
            source="H, M, P, T, X",
            meaning="high byte: message type; low byte: 0x10",
        ),
        Field(5, "sequence_first", Int8ul, source="H, P, T", meaning="the server's counter"),
        Field(6, "sequence_second", Int8ul, source="H, P, T", meaning="the device's counter"),
        Field(7, "logger_serial", Int32ul, private=Private.SERIAL, source="H, M, P, T, X"),
    ),
    source="H, M, P, T, X",
)

TRAILER = Layout(
    "trailer",
    "V5 envelope, behind the payload",
    (
        Field(
            0,
            "checksum",
            Int8ul,
            hexadecimal=True,
            source="H, M, P, T, X",
            meaning="sum of all between start and checksum, modulo 256",
        ),
        Field(1, "end", Int8ul, hexadecimal=True, source="H, M, P, T, X", meaning="0x15"),
    ),
    source="H, M, P, T, X",
)

HANDSHAKE = Layout(
    "handshake",
    "Handshake (0x41): the logger tells what it is",
    (
        FRAME_TYPE,
        *times(1),
        Field(13, "upload_interval_minutes", Int8ul, unit="min", source="H, T, N"),
        Field(14, "collect_interval_seconds", Int8ul, unit="s", source="H, T, N"),
        Field(15, "heartbeat_interval_seconds", Int8ul, unit="s", source="H, T, N"),
        Field(16, "max_connected_devices", Int8ul, source="H, T, N"),
        measured(17, "signal_strength", Int8ul, source="H, T, N"),
        Field(18, "unknown_18", Int8ul, confidence="C", source="N", meaning="sensor type number?"),
        Field(19, "logger_firmware", Text(40), source="H, T, N"),
        Field(59, "mac", Mac, private=Private.MAC, source="H, T, N"),
        Field(65, "ip", Text(16), private=Private.IP, source="H, T, N"),
        Field(81, "unknown_81", Int8ul, confidence="C", source="H, T"),
        Field(83, "sensor_type_count", Int8ul, source="T", confidence="B"),
        Field(
            84,
            "sensor_type",
            Int16ul,
            hexadecimal=True,
            source="T",
            meaning="of the data that will follow",
        ),
        Field(89, "hardware_version", Text(40), source="H, T", meaning="of the collector"),
        Field(131, "certificate_status", Int8ul, source="T", confidence="B"),
        Field(132, "unknown_132", Text(40), source="T", confidence="C"),
        Field(172, "ssid", Text(40), private=Private.SSID, source="H, T"),
        Field(212, "unknown_212", Raw(102), source="T", confidence="C"),
    ),
    source="H, T, N",
)

_WIFI_HEAD = (
    FRAME_TYPE,
    *times(1, "T, N"),
    Field(13, "sub_id", Int8ul, source="T", meaning="which form follows"),
    Field(14, "unknown_14", Int8ul, source="T", confidence="C"),
)

WIFI = Layout("wifi", "Wifi (0x43), a form that is not known", _WIFI_HEAD, source="T, N")

WIFI_FORMS = {
    0x0C: Layout(
        "wifi_network",
        "Wifi (0x43), sub-id 0x0C: the network",
        (
            *_WIFI_HEAD,
            Field(15, "ssid", Text(30), private=Private.SSID, source="T"),
            measured(45, "signal_strength", Int8ul, source="T"),
            Field(46, "unknown_46", Int8ul, source="T", confidence="C", meaning="1"),
        ),
        source="T",
    ),
    0x1C: Layout(
        "wifi_inverter",
        "Wifi (0x43), sub-id 0x1C: the inverter's serial",
        (
            *_WIFI_HEAD,
            Field(
                15, "inverter_serial", Text(16, pad=b" "), private=Private.SERIAL, source="T, N, H"
            ),
        ),
        source="T, N, H",
        checked=False,
    ),
}

REPORT = Layout(
    "report",
    "Report (0x48): the end of a synchronisation",
    (
        FRAME_TYPE,
        *times(1),
        Field(13, "unknown_13", Int8ul, source="T, N", confidence="C", meaning="1"),
        Field(14, "unknown_14", Int8ul, source="T, N", confidence="C", meaning="1 or 5"),
        Field(15, "following_length", Int8ul, source="T", confidence="B", unit="bytes"),
    ),
    source="T, N",
)

HEARTBEAT = Layout("heartbeat", "Heartbeat (0x47)", (FRAME_TYPE,), source="H, P, T")

_COMMAND_KIND = Field(
    0, "frame_type", Int8ul, source="P, T", meaning="0x02 Modbus RTU, 0x01 AT text, 0x05 third kind"
)

COMMAND = Layout(
    "command",
    "Command (0x45), before its body",
    (
        _COMMAND_KIND,
        Field(
            1,
            "sensor_type",
            Int16ul,
            hexadecimal=True,
            source="P, T",
            meaning="0 or the sensor type for Modbus, 2 for AT text",
        ),
        *times(3),
    ),
    source="P, T",
)

_REPLY_FIELDS = (
    _COMMAND_KIND,
    Field(1, "status", Int8ul, source="P, T", meaning="1: fine"),
    *times(2),
)

COMMAND_REPLY = Layout(
    "command_reply", "Command reply (0x15), before its body", _REPLY_FIELDS, source="P, T"
)
INTERIM_REPLY = Layout(
    "interim_reply", "Interim reply (0x05), before its body", _REPLY_FIELDS, source="T"
)

OUTPUT_POWER_LIMIT = Field(
    21, "output_power_limit", Int16ub, "1/10", unit="W", source="T", meaning="greatest AC output"
)
"""In the one known command of the third kind (0x05), whose body is no layout."""

CLOUD_REPLY = Layout(
    "cloud_reply",
    "The cloud's reply to a device frame",
    (
        Field(0, "frame_type", Int8ul, source="H, P, T", meaning="echoed from the request"),
        Field(1, "status", Int8ul, source="H, P, T", meaning="1: accepted"),
        Field(2, "time", Int32ul, unit="s", source="H, P, T", meaning="unix time"),
        Field(
            6,
            "next_heartbeat",
            Int32ul,
            unit="s",
            source="T",
            confidence="B",
            meaning="until the next heartbeat",
        ),
    ),
    source="H, P, T",
)

UNKNOWN = Layout("unknown", "A message that is not known", ())
"""No fields: all of the payload is `unknown_0`."""

ALL = (
    HEADER,
    HANDSHAKE,
    WIFI,
    *WIFI_FORMS.values(),
    REPORT,
    HEARTBEAT,
    COMMAND,
    COMMAND_REPLY,
    INTERIM_REPLY,
    CLOUD_REPLY,
    TRAILER,
)
"""Every layout of this module."""
