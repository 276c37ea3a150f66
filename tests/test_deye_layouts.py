"""The layouts of data payloads: real bytes where there are some, else what the sources say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from inverterproto.deye.frame import PAYLOAD_AT, Frame, header_fields
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.deye.layouts.head import DATA_HEAD, HEAD_ONLY
from inverterproto.errors import FieldError
from inverterproto.layout import Field, Layout, Octets, Version
from inverterproto.private import Private
from inverterproto.quantity import QUANTITIES, lookup, template_of

FIXTURES = Path(__file__).parent.parent / "fixtures" / "deye"
FILES = sorted(FIXTURES.rglob("*.json"))
DATA = 0x42


class Fixture(NamedTuple):
    """A real frame and what it should say."""

    name: str
    raw: bytes
    expect: dict[str, Any]

    @property
    def payload(self) -> bytes:
        return Frame.parse(self.raw).payload


def load(path: Path) -> Fixture:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Fixture(path.stem, bytes.fromhex(path.with_suffix(".hex").read_text()), said["expect"])


def data_fixtures() -> Iterator[Fixture]:
    for fixture in map(load, FILES):
        if "header" in fixture.expect and fixture.expect["header"]["control_code"] >> 8 == DATA:
            yield fixture


REAL = {fixture.name: fixture for fixture in data_fixtures()}
TOLD = [(fixture.name, field) for fixture in REAL.values() for field in fixture.expect["fields"]]

every_sensor_type = pytest.mark.parametrize("sensor_type", sorted(MODULES), ids=hex)


def layout(sensor_type: int) -> Layout:
    found = layout_of(sensor_type)
    assert found is not None
    return found


CHECKED = {sensor_type for sensor_type in MODULES if layout(sensor_type).checked}


def layout_for(payload: bytes) -> Layout:
    return layout(int.from_bytes(payload[1:3], "little"))


def measuring(key: str) -> Iterator[tuple[int, Field]]:
    """All fields that measure a quantity, with their sensor types."""
    for sensor_type in MODULES:
        for field in layout(sensor_type).fields:
            if field.quantity == key:
                yield sensor_type, field


# Real bytes


def test_there_are_real_frames_of_every_layout_that_says_so() -> None:
    seen = {int.from_bytes(fixture.payload[1:3], "little") for fixture in REAL.values()}
    assert seen == CHECKED


@pytest.mark.parametrize(("name", "field"), TOLD)
def test_a_real_frame_says_what_was_read_from_its_bytes(name: str, field: str) -> None:
    fixture = REAL[name]
    values = layout_for(fixture.payload).parse(fixture.payload)
    expected = fixture.expect["fields"][field]
    assert values[field] == expected
    assert type(values[field]) is type(expected)


@pytest.mark.parametrize("name", REAL)
def test_a_fixture_tells_who_measured_and_at_least_one_thing_that_was_measured(name: str) -> None:
    fixture = REAL[name]
    told = fixture.expect["fields"].keys()
    fields = layout_for(fixture.payload).by_name
    assert {"frame_type", "sensor_type"} <= told
    assert any(fields[key].quantity for key in told)


IN_FULL = {
    "dcu-data-3026",
    "micro-5408-historic",
    "micro-5408-realtime",
    "solis-0504",
    "tsun-data-02b0",
}
"""The first fixtures tell every field; a fixture need not (see fixtures/README.md)."""


@pytest.mark.parametrize("name", sorted(IN_FULL))
def test_what_a_real_frame_measures_is_told_in_full(name: str) -> None:
    fixture = REAL[name]
    values = layout_for(fixture.payload).parse(fixture.payload)
    understood = {key for key in values if not key.startswith("unknown_")}
    assert understood <= fixture.expect["fields"].keys()


@pytest.mark.parametrize("name", REAL)
def test_a_real_frame_is_built_again_from_what_it_says(name: str) -> None:
    payload = REAL[name].payload
    values = layout_for(payload).parse(payload)
    assert layout_for(payload).build(values, payload) == payload
    again = layout_for(payload).build(values)
    assert layout_for(payload).parse(again) == values
    for field in layout_for(payload).fields:
        # What says nothing (a clock that shows no date) is written in one way, if sent in several.
        if values.get(field.name) is not None:
            assert again[field.offset : field.end] == payload[field.offset : field.end]


def test_a_clock_that_shows_no_date_is_written_as_zeros() -> None:
    payload = REAL["micro-5408-historic"].payload
    again = layout_for(payload).build(layout_for(payload).parse(payload))
    assert again == payload[:245] + bytes(6) + payload[251:]


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("tsun-data-02b0", 409),
        ("dcu-data-3026", 111),
        ("solis-0504", 124),
        ("micro-5408-realtime", 330),
    ],
)
def test_a_real_payload_has_the_length_that_the_layout_knows(name: str, length: int) -> None:
    payload = REAL[name].payload
    assert len(payload) == length
    assert layout_for(payload).size <= length


def test_the_cells_of_the_battery_add_up_to_its_voltage() -> None:
    values = layout(0x3026).parse(REAL["dcu-data-3026"].payload)
    cells = [values[f"cell{n}_voltage"] for n in range(1, 17)]
    total = sum(cell for cell in cells if isinstance(cell, float))
    assert total == pytest.approx(values["battery_voltage"], abs=0.02)


def test_the_guessed_powers_of_the_solis_fit_its_active_power() -> None:
    values = layout(0x0504).parse(REAL["solis-0504"].payload)
    active, apparent, reactive = (
        values[f"{kind}_power"] for kind in ("active", "apparent", "reactive")
    )
    assert isinstance(active, int)
    assert isinstance(reactive, int)
    assert (active**2 + reactive**2) ** 0.5 == pytest.approx(apparent, abs=1)


# What only the sources say: bytes put where they say the field stands

HYBRID = [
    (25, b"2201234567", "inverter_serial", "2201234567"),
    (41, b"a text".ljust(28, b"\0"), "unknown_41", "a text"),
    (95, "0033", "battery_charge_today", 5.1),
    (97, "0034", "battery_discharge_today", 5.2),
    (99, "00010001", "battery_charge_total", 6553.7),
    (103, "00010002", "battery_discharge_total", 6553.8),
    (107, "0035", "grid_import_today", 5.3),
    (109, "0036", "grid_export_today", 5.4),
    (111, "00010003", "grid_import_total", 6553.9),
    (115, "00010004", "grid_export_total", 6554.0),
    (119, "0037", "load_energy_today", 5.5),
    (121, "00010005", "load_energy_total", 6554.1),
    (129, "0038", "pv_energy_today", 5.6),
    (131, "0039", "pv1_energy_today", 5.7),
    (133, "003a", "pv2_energy_today", 5.8),
    (135, "00010006", "pv_energy_total", 6554.2),
    (173, "04b1", "battery_temperature", 20.1),
    (175, "140e", "battery_voltage", 51.34),
    (177, "0040", "state_of_charge", 64),
    (181, "fe0c", "battery_power", -500),
    (183, "fc18", "battery_current", -10.0),
    (185, "0007", "unknown_185", 7),
    (187, "08fc", "grid_voltage_l1", 230.0),
    (189, "08fd", "grid_voltage_l2", 230.1),
    (191, "08fe", "grid_voltage_l3", 230.2),
    (201, "0064", "grid_power_l1", 100),
    (203, "ff9c", "grid_power_l2", -100),
    (205, "0065", "grid_power_l3", 101),
]
SOFAR_GRID = [
    (21, b"SF1ES00000000 01", "inverter_serial", "SF1ES00000000 01"),
    (53, "fc08", "grid_voltage_l1", 230.0),
    (55, "fd08", "grid_voltage_l2", 230.1),
    (57, "fe08", "grid_voltage_l3", 230.2),
    (59, "8113", "grid_frequency", 49.93),
    (61, "32030100", "active_power", 66354),
    (65, "36100100", "energy_today", 696.86),
    (69, "88f20200", "energy_total", 19316.0),
    (73, "10270100", "operating_time", 75536),
    (77, "02", "status", 2),
    (78, "ff", "unknown_78", b"\xff"),
    (79, "00200001", "fault", 0x01002000),
    (101, "f6ff", "logger_temperature", -10),
    (103, "680f", "bus_voltage", 394.4),
]
SOFAR_STRING = [
    *SOFAR_GRID,
    (37, "9cff", "inverter_temperature", -10.0),
    (39, "c310", "pv1_voltage", 429.1),
    (41, "6910", "pv2_voltage", 420.1),
    (43, "0a00", "pv1_current", 1.0),
    (45, "0b00", "pv2_current", 1.1),
    (47, "0c00", "grid_current_l1", 1.2),
    (49, "0d00", "grid_current_l2", 1.3),
    (51, "0e00", "grid_current_l3", 1.4),
    (141, "18040811090a", "inverter_clock", "2024-04-08 17:09:10"),
]
SOFAR_BATTERY = [
    *SOFAR_GRID,
    (37, "9cff", "battery_temperature", -10.0),
    (39, "00" * 14, "unknown_39", bytes(14)),
    (89, "18fc", "battery_power_sign_unknown", -100.0),
    (91, "0e02", "battery_voltage", 52.6),
    (93, "9cff", "battery_current_sign_unknown", -10.0),
    (95, "4000", "state_of_charge", 64),
    (155, "2100", "inverter_temperature", 33),
    (157, "2200", "radiator_temperature", 34),
    (185, "3300", "battery_charge_today", 0.51),
    (187, "3400", "battery_discharge_today", 0.52),
    (189, "01000100", "battery_charge_total", 65537),
    (193, "02000100", "battery_discharge_total", 65538),
    (213, "18040811090a", "inverter_clock", "2024-04-08 17:09:10"),
]
SOFAR_HYBRID = [
    (21, b"SM1ES000000000 1", "inverter_serial", "SM1ES000000000 1"),
    (37, "b80b", "pv1_voltage", 300.0),
    (39, "2a01", "pv1_current", 2.98),
    (41, "5900", "pv1_power", 890),
    (43, "b90b", "pv2_voltage", 300.1),
    (45, "2b01", "pv2_current", 2.99),
    (47, "5a00", "pv2_power", 900),
    (49, "fc08", "grid_voltage_l1", 230.0),
    (51, "8600", "grid_current_l1", 1.34),
    (53, "8113", "grid_frequency", 49.93),
    (55, "ceff", "battery_power_sign_unknown", -500),
    (57, "0e02", "battery_voltage", 52.6),
    (59, "18fc", "battery_current_sign_unknown", -10.0),
    (61, "4000", "state_of_charge", 64),
    (63, "1500", "battery_temperature", 21),
    (67, "1f00", "load_power", 310),
    (71, "2000", "active_power", 320),
    (77, "4d04", "energy_today", 11.01),
    (79, "4e04", "grid_export_today", 11.02),
    (81, "4f04", "grid_import_today", 11.03),
    (83, "5004", "load_energy_today", 11.04),
    (85, "1027", "energy_total", 10000),
    (89, "1127", "grid_export_total", 10001),
    (93, "01000100", "grid_import_total", 65537),
    (97, "02000100", "load_energy_total", 65538),
    (101, "5104", "battery_discharge_today", 11.05),
    (103, "5204", "battery_charge_today", 11.06),
    (105, "03000100", "battery_charge_total", 65539),
    (109, "04000100", "battery_discharge_total", 65540),
    (119, "680f", "bus_voltage", 394.4),
    (131, "2100", "inverter_temperature", 33),
    (133, "2200", "radiator_temperature", 34),
    (155, "10270100", "operating_time", 75536),
    (189, "18040811090a", "inverter_clock", "2024-04-08 17:09:10"),
]
SOFAR_G3 = [
    (69, "fff6", "inverter_temperature", -10),
    (73, "0022", "radiator_temperature", 34),
    (109, "07e8", "inverter_clock_year", 2024),
    (111, "0004", "inverter_clock_month", 4),
    (113, "0008", "inverter_clock_day", 8),
    (115, "0011", "inverter_clock_hour", 17),
    (117, "0009", "inverter_clock_minute", 9),
    (119, "000a", "inverter_clock_second", 10),
    (131, b"SP1ES000000001", "inverter_serial", "SP1ES000000001"),
    (187, "1381", "grid_frequency", 49.93),
    (189, "0149", "active_power", 3290),
    (205, "08fc", "grid_voltage_l1", 230.0),
    (207, "01db", "grid_current_l1", 4.75),
    (227, "08fd", "grid_voltage_l2", 230.1),
    (229, "01dc", "grid_current_l2", 4.76),
    (249, "08fe", "grid_voltage_l3", 230.2),
    (251, "01dd", "grid_current_l3", 4.77),
    (347, "10c3", "pv1_voltage", 429.1),
    (349, "0192", "pv1_current", 4.02),
    (351, "00ac", "pv1_power", 1720),
    (353, "1069", "pv2_voltage", 420.1),
    (355, "0193", "pv2_current", 4.03),
    (357, "00a9", "pv2_power", 1690),
    (635, "00010001", "energy_today", 655.37),
    (639, "00010002", "energy_total", 6553.8),
    (711, "0f68", "bus_voltage", 394.4),
]
TSUN_1097 = [(21, b"Y17E7A0123456789", "inverter_serial", "Y17E7A0123456789")]
# Of each layout with `checked=False`: offset, bytes there, field, what it says.
SAID: dict[int, list[Any]] = {
    0x1097: TSUN_1097,
    0x2701: SOFAR_STRING,
    0x2703: SOFAR_BATTERY,
    0x2708: SOFAR_HYBRID,
    0x270A: SOFAR_G3,
    0x5411: HYBRID,
    0x5413: [],
}


def test_every_layout_without_real_bytes_stands_here() -> None:
    assert SAID.keys() == MODULES.keys() - CHECKED


@pytest.mark.parametrize("sensor_type", SAID, ids=hex)
def test_a_field_stands_where_the_source_says(sensor_type: int) -> None:
    head = bytes.fromhex("01 0000 6d1d0600 44080000 c0385c66 0100 84030000")
    payload = bytearray(head.ljust(layout(sensor_type).size, b"\0"))
    payload[1:3] = sensor_type.to_bytes(2, "little")
    for offset, raw, _, _ in SAID[sensor_type]:
        octets = bytes.fromhex(raw) if isinstance(raw, str) else raw
        payload[offset : offset + len(octets)] = octets
    values = layout(sensor_type).parse(bytes(payload))
    expected = {name: value for _, _, name, value in SAID[sensor_type]}
    assert {name: values[name] for name in expected} == expected
    unnamed = [name for name in values.keys() - expected.keys() if not name.startswith("unknown_")]
    assert sorted(unnamed) == sorted(field.name for field in DATA_HEAD if field.known)
    assert values["sensor_type"] == sensor_type
    assert layout(sensor_type).build(values) == payload


# What holds for every layout


def test_a_sensor_type_that_is_not_known_has_no_layout() -> None:
    assert layout_of(0xDD01) is None
    assert layout_of(0) is None


@pytest.mark.parametrize("sensor_type", [0x0008, 0x2708, 0x0011, 0x0013, 0x1511])
def test_the_low_byte_of_the_sensor_type_is_no_key(sensor_type: int) -> None:
    same_low_byte = [known for known in MODULES if known & 0xFF == sensor_type & 0xFF]
    for known in same_low_byte:
        if known != sensor_type:
            assert layout_of(sensor_type) is not layout_of(known)


def test_a_sofar_hybrid_is_no_micro_inverter() -> None:
    assert layout(0x2708).name == "sofar_hybrid"
    assert layout(0x5408).name == "micro_inverter"


def test_every_layout_has_a_name_of_its_own() -> None:
    names = [layout(sensor_type).name for sensor_type in MODULES]
    assert len(set(names)) == len(names)


@every_sensor_type
def test_every_layout_begins_with_the_head(sensor_type: int) -> None:
    assert layout(sensor_type).fields[: len(DATA_HEAD)] == HEAD_ONLY.fields
    assert layout(sensor_type).fields[len(DATA_HEAD) - 1].end == 21


@every_sensor_type
def test_the_fields_tile_the_payload(sensor_type: int) -> None:
    end = 0
    for field in layout(sensor_type).fields:
        assert field.offset == end
        assert field.size > 0
        end = field.end
    assert end == layout(sensor_type).size


@every_sensor_type
def test_the_names_of_a_layout_are_unique(sensor_type: int) -> None:
    fields = layout(sensor_type).fields
    assert len({field.name for field in fields}) == len(fields)
    keys = [field.quantity for field in fields if field.quantity is not None]
    assert len(set(keys)) == len(keys)


@every_sensor_type
def test_what_measures_a_quantity_is_called_so_and_has_its_unit(sensor_type: int) -> None:
    for field in layout(sensor_type).fields:
        if field.quantity is not None:
            assert field.name == field.quantity
            assert field.symbol == (lookup(field.quantity).unit or "")
            assert not isinstance(field.type, Octets)


@every_sensor_type
def test_nothing_is_called_like_a_quantity_that_it_does_not_measure(sensor_type: int) -> None:
    for field in layout(sensor_type).fields:
        if field.quantity is None:
            assert template_of(field.name) not in QUANTITIES


@every_sensor_type
def test_every_meaning_has_a_source_and_a_confidence(sensor_type: int) -> None:
    assert layout(sensor_type).source
    for field in layout(sensor_type).fields:
        assert field.confidence in ("A", "B", "C")
        assert field.source or field.confidence == "C"
        assert field.known or field.confidence == "C"


@every_sensor_type
def test_every_scale_is_a_fraction_of_integers(sensor_type: int) -> None:
    for field in layout(sensor_type).fields:
        numerator, denominator = field.ratio
        assert numerator > 0
        assert denominator > 0


@every_sensor_type
def test_the_counting_fields_are_fields(sensor_type: int) -> None:
    found = layout(sensor_type)
    for name in (found.trackers, found.phases):
        assert name is None or name in found.by_name


@every_sensor_type
def test_a_serial_is_private(sensor_type: int) -> None:
    for field in layout(sensor_type).fields:
        if "serial" in field.name or field.name.endswith("_id"):
            assert field.private is Private.SERIAL


@every_sensor_type
def test_named_values_are_values_that_the_field_can_have(sensor_type: int) -> None:
    for field in layout(sensor_type).fields:
        for value, name in (field.names or {}).items():
            assert name
            assert field.to_raw(value) == value


def test_what_a_status_means_is_named_where_it_is_known() -> None:
    assert layout(0x2701).by_name["status"].names == {
        0: "standby",
        2: "normal",
        3: "fault",
        4: "permanent fault",
    }
    assert layout(0x3026).by_name["pv1_status"].names == {0: "standby", 1: "working"}
    assert "status" not in layout(0x0504).by_name


def test_an_energy_total_of_0_is_no_reading() -> None:
    found = list(measuring("energy_total"))
    assert found
    for sensor_type, field in found:
        assert field.absent == (0,), hex(sensor_type)
        assert field.to_value(0) is None


def test_what_is_turned_counts_both_ways_and_measures_what_has_a_sign() -> None:
    for sensor_type in MODULES:
        for field in layout(sensor_type).fields:
            if field.turned:
                assert field.quantity is not None
                assert field.quantity.startswith(("battery_", "grid_")), (hex(sensor_type), field)
                assert field.to_raw(-1) != field.to_raw(1)


def test_the_battery_whose_current_is_positive_while_charging_is_turned() -> None:
    assert layout(0x3026).by_name["battery_current"].turned
    assert not layout(0x5411).by_name["battery_current"].turned
    assert not layout(0x5411).by_name["battery_power"].turned


@pytest.mark.parametrize("sensor_type", [0x2703, 0x2708], ids=hex)
def test_a_sign_that_is_not_known_makes_no_quantity(sensor_type: int) -> None:
    fields = layout(sensor_type).by_name
    for kind in ("power", "current"):
        assert fields[f"battery_{kind}_sign_unknown"].quantity is None
        assert f"battery_{kind}" not in fields


@pytest.mark.parametrize(
    ("sensor_type", "names"),
    [
        (0x0504, ["status_77", "apparent_power", "reactive_power"]),
        (0x270A, ["active_power", "pv1_power", "pv2_power"]),
        (0x2708, ["pv1_current", "pv2_current", "battery_power_sign_unknown"]),
        (0x5411, ["unknown_41", "pv1_energy_today", "pv2_energy_today", "unknown_185"]),
    ],
)
def test_what_is_guessed_says_so(sensor_type: int, names: list[str]) -> None:
    assert {layout(sensor_type).by_name[name].confidence for name in names} == {"C"}


# The version of TSUN's micro-inverters


@pytest.mark.parametrize(("raw", "text"), [("4010", "V4.0.10"), ("51b1", "V5.1.B1")])
def test_a_version_is_four_digits(raw: str, text: str) -> None:
    assert Version.decode(bytes.fromhex(raw)) == text
    assert Version.encode(text) == bytes.fromhex(raw)


@pytest.mark.parametrize("text", ["", "4.0.10", "V4.0.1", "V40.10", "V4.0.101", "V4.0.1G", None, 4])
def test_what_is_no_version_is_refused(text: Any) -> None:  # noqa: ANN401
    with pytest.raises(FieldError, match="inverter_version: cannot be written"):
        layout(0x02B0).build({"inverter_version": text})


# The fixtures themselves


def test_every_fixture_is_two_files() -> None:
    assert {path.with_suffix("") for path in FIXTURES.rglob("*.hex")} == {
        path.with_suffix("") for path in FILES
    }
    assert len({path.stem for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fixture_is_one_line_of_hex_and_says_where_it_comes_from(path: Path) -> None:
    text = path.with_suffix(".hex").read_text()
    assert text == bytes.fromhex(text).hex() + "\n"
    said = json.loads(path.read_text(encoding="utf-8"))
    assert said.keys() == {"what", "source", "valid", "expect"}
    assert said["what"]
    assert said["source"]
    assert said["valid"] == ("header" in said["expect"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_of_a_fixture_is_as_told(path: Path) -> None:
    fixture = load(path)
    if "header" in fixture.expect:
        assert header_fields(fixture.raw) == fixture.expect["header"]
        assert len(fixture.raw) == fixture.expect["header"]["payload_length"] + PAYLOAD_AT + 2
