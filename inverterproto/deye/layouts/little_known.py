"""Sensor types of which hardly more than the head is known: Deye's relay module, a TSUN type."""

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Field, Layout, Text
from inverterproto.private import Private

LAYOUTS = (
    # Not even where its serial stands is known.
    Layout(
        "relay_module",
        "Deye relay module",
        DATA_HEAD,
        source="H",
        checked=False,
        sensor_type=0x5413,
    ),
    Layout(
        "tsun_1097",
        "TSUN, sensor type 0x1097",
        (
            *DATA_HEAD,
            Field(
                21,
                "inverter_serial",
                Text(16),
                private=Private.SERIAL,
                source="T",
                confidence="B",
            ),
        ),
        source="T",
        checked=False,
        sensor_type=0x1097,
    ),
)
