"""What all data payloads begin with, whatever the sensor type."""

from construct import Int8ul, Int16ul, Int32ul

from inverterproto.layout import Field, Layout

TIMES = (
    (
        "total_working_time",
        "a counter of the logger; with the offset time, the time of acquisition",
    ),
    ("power_on_time", "since the logger was powered on"),
    (
        "offset_time",
        "unix time at which the counter was 0; 0 while the logger was not told the time",
    ),
)


def times(offset: int, source: str = "P, T") -> tuple[Field, ...]:
    """Return the three times that most device payloads carry, beginning at `offset`."""
    return tuple(
        Field(offset + 4 * index, name, Int32ul, unit="s", source=source, meaning=meaning)
        for index, (name, meaning) in enumerate(TIMES)
    )


FRAME_TYPE = Field(
    0,
    "frame_type",
    Int8ul,
    hexadecimal=True,
    source="H, P, T",
    meaning="0x01 logger, 0x02 inverter, 0x00 keep-alive; bit 7: a historic record",
)

DATA_HEAD = (
    FRAME_TYPE,
    Field(
        1,
        "sensor_type",
        Int16ul,
        hexadecimal=True,
        source="T, P, X",
        meaning="which layout follows",
    ),
    *times(3),
    Field(15, "unknown_15", Int16ul, source="T, I", confidence="C", meaning="1 in all frames seen"),
    Field(17, "packet_counter", Int32ul, source="T, I", meaning="counts data frames"),
)

HEAD_ONLY = Layout(
    "head_only", "Head of a data payload, the rest unknown", DATA_HEAD, source="T, P"
)
