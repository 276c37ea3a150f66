"""Home Assistant's discovery: what is said of quantities and devices, and to what each listens."""

import json
from typing import Any

import pytest

from inverterproto.quantity import QUANTITIES, lookup
from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks.discovery import (
    Alias,
    Config,
    Wishes,
    last_seen_config,
    name_of,
    quantity_config,
)
from inverterproto_cli.sinks.entities import RANK, Entities
from inverterproto_cli.sinks.sink import Identity
from inverterproto_cli.sinks.topics import Topics

INVERTER = Identity(
    "deye", "2301234567", "inverter", "Deye", "Deye micro-inverter", "V1.2.1.8", "2712345678"
)
LOGGER = Identity("deye", "2712345678", "logger", "Solarman", "logger stick")
BATTERY = Identity("alphaess", "AL2002000001234", "battery", "AlphaESS", "Storion", "V1.01.05")
WISHES = Wishes(Topics("inverterproto"), version="1.2.3")
KEYS = [
    key.replace("{n}", "2").replace("{phase}", phase)
    for key in QUANTITIES
    for phase in (("l1", "l3") if "{phase}" in key else ("",))
]


def said(config: Config) -> dict[str, Any]:
    found = json.loads(config.payload)
    assert isinstance(found, dict)
    return found


def of(key: str, identity: Identity = INVERTER, kind: str = "data") -> dict[str, Any]:
    return said(quantity_config(identity, key, kind, WISHES))


def test_all_that_is_said_of_a_power() -> None:
    config = quantity_config(INVERTER, "pv1_power", "data", WISHES)
    assert config.topic == "homeassistant/sensor/inverterproto_deye_2301234567_pv1_power/config"
    assert said(config) == {
        "name": "PV1 power",
        "unique_id": "inverterproto_deye_2301234567_pv1_power",
        "state_topic": "inverterproto/deye/2301234567/data/state",
        "value_template": "{{ value_json.pv1_power | default('') if now().timestamp() - "
        "as_timestamp(value_json.time, 0) < 1800 else '' }}",
        "device_class": "power",
        "state_class": "measurement",
        "unit_of_measurement": "W",
        "suggested_display_precision": 0,
        "expire_after": 1800,
        "availability": [{"topic": "inverterproto/status"}],
        "device": {
            "identifiers": ["inverterproto_deye_2301234567"],
            "name": "Inverter 2301234567",
            "manufacturer": "Deye",
            "model": "Deye micro-inverter",
            "sw_version": "V1.2.1.8",
            "serial_number": "2301234567",
            "via_device": "inverterproto_deye_2712345678",
        },
        "origin": {"name": "inverterproto", "sw_version": "1.2.3"},
    }


@pytest.mark.parametrize("key", KEYS)
def test_an_entity_is_what_the_vocabulary_says(key: str) -> None:
    entry, entity = lookup(key), of(key)
    assert entity.get("device_class") == entry.device_class
    assert entity.get("state_class") == entry.state_class
    assert entity.get("unit_of_measurement") == entry.unit
    assert entity.get("suggested_display_precision") == entry.precision
    assert entity.get("entity_category") == ("diagnostic" if entry.diagnostic else None)
    assert None not in entity.values()
    assert None not in entity["device"].values()


def test_only_measurements_expire() -> None:
    expiring = {key for key in KEYS if "expire_after" in of(key)}
    assert {"active_power", "state_of_charge", "grid_voltage_l1", "cell_voltage_min"} <= expiring
    assert not [key for key in expiring if lookup(key).state_class != "measurement"]
    assert expiring.isdisjoint(
        ("energy_total", "energy_today", "operating_time", "status", "signal_strength")
    )


def test_cells_and_modules_are_there_but_switched_off() -> None:
    switched_off = {key for key in KEYS if of(key).get("enabled_by_default") is False}
    assert switched_off == {
        "cell2_voltage",
        "cell_temperature_2",
        "module2_state_of_charge",
        "module2_current",
    }


def test_a_text_that_is_absent_is_said_again_since_an_empty_one_would_be_taken() -> None:
    for key in ("status", "alarm", "fault"):
        assert of(key)["value_template"] == (
            f"{{{{ value_json.{key} if value_json.{key} is defined else "
            "'unknown' if this.state == 'unavailable' else this.state }}"
        )
    numbers = [key for key in KEYS if key not in ("status", "alarm", "fault")]
    assert all("| default('')" in of(key)["value_template"] for key in numbers)
    # Home Assistant takes a sensor for a number if it has one of these.
    assert all(of(key).keys() & {"state_class", "unit_of_measurement"} for key in numbers)


def test_only_of_what_expires_an_old_message_is_not_taken() -> None:
    for key in KEYS:
        entity = of(key)
        looks = "value_json.time" in entity["value_template"]
        assert looks == ("expire_after" in entity)


def test_a_device_says_when_it_was_heard_last() -> None:
    entity = said(last_seen_config(BATTERY, "status", WISHES))
    assert entity["unique_id"] == "inverterproto_alphaess_AL2002000001234_last_seen"
    assert entity["device_class"] == "timestamp"
    assert entity["entity_category"] == "diagnostic"
    assert entity["value_template"] == "{{ value_json.time }}"
    assert "expire_after" not in entity
    assert "state_class" not in entity


def test_no_quantity_is_called_like_what_else_stands_in_a_state() -> None:
    assert {"time", "time_source", "fields", "last_seen"}.isdisjoint(KEYS)


def test_what_is_learned_later_changes_no_id_no_topic_and_no_name() -> None:
    before = Identity("deye", "2301234567", "inverter", "Solarman")
    for key in KEYS:
        early, late = (quantity_config(one, key, "data", WISHES) for one in (before, INVERTER))
        assert early.topic == late.topic
        assert said(early)["unique_id"] == said(late)["unique_id"]
        assert said(early)["device"]["identifiers"] == said(late)["device"]["identifiers"]
        assert said(early)["device"]["name"] == said(late)["device"]["name"]
        assert "model" not in said(early)["device"]


def test_the_user_says_what_a_device_is_called_and_where_it_stands() -> None:
    wishes = WISHES._replace(names={"2301234567": "Roof"}, areas={"2301234567": "Garage"})
    device = said(quantity_config(INVERTER, "pv1_power", "data", wishes))["device"]
    assert device["name"] == "Roof"
    assert device["suggested_area"] == "Garage"
    other = said(quantity_config(BATTERY, "pv_power", "status", wishes))["device"]
    assert other["name"] == "Battery AL2002000001234"
    assert "suggested_area" not in other


def test_an_alias_changes_the_ids_and_nothing_else() -> None:
    aliases = {"2301234567": {"energy_total": Alias("old", "old/topic", "old_total")}}
    wishes = WISHES._replace(aliases=aliases)
    config = quantity_config(INVERTER, "energy_total", "data", wishes)
    plain = quantity_config(INVERTER, "energy_total", "data", WISHES)
    assert config.topic == plain.topic
    assert said(config) == said(plain) | {
        "unique_id": "old",
        "object_id": "old_total",
        "default_entity_id": "sensor.old_total",
    }


def test_no_device_is_carried_by_itself() -> None:
    own = INVERTER._replace(via=INVERTER.serial)
    assert "via_device" not in of("pv1_power", own)["device"]


def test_strange_serials_stay_apart_and_are_plain() -> None:
    ids = set()
    for serial in ("a/b", "a_2Fb", "a", "", "#", "\udcff", "x" * 300, "x" * 301):
        config = quantity_config(INVERTER._replace(serial=serial), "alarm", "data", WISHES)
        ids.add(said(config)["unique_id"])
        assert config.topic.count("/") == 3
        assert config.topic.isascii()
        assert said(config)["device"]["name"].isascii()
    assert len(ids) == 8


def test_names_are_for_people() -> None:
    named = {key: name_of(key) for key in KEYS}
    assert named["pv2_energy_today"] == "PV2 energy today"
    assert named["grid_voltage_l3"] == "Grid voltage L3"
    assert named["cell2_voltage"] == "Cell 2 voltage"
    assert named["cell_temperature_2"] == "Cell temperature 2"
    assert named["reactive_power_dc"] == "Reactive power DC"
    assert len(set(named.values())) == len(KEYS)


# Which entities there are


def entities(wishes: Wishes = WISHES) -> Entities:
    return Entities(wishes, lambda serial: LOGGER._replace(serial=serial))


def reading(kind: str, *keys: str, identity: Identity = BATTERY) -> Reading:
    values = dict.fromkeys(keys, 1)
    return Reading(
        identity.family,
        identity.serial,
        1.0,
        TimeSource.DEVICE,
        historic=False,
        values=values,
        kind=kind,
        via=identity.via,
    )


def listening(configs: list[Config]) -> dict[str, str]:
    """Return what each entity listens to, by the end of its id."""
    return {
        said(each)["unique_id"].split("_", 3)[3]: said(each)["state_topic"].split("/")[3]
        for each in configs
    }


def test_an_entity_listens_to_what_comes_most_often_and_stays_there() -> None:
    all_ = entities()
    record = reading("record", "state_of_charge", "grid_import_total")
    status = reading("status", "state_of_charge")
    assert listening(all_.see(BATTERY, record)) == {
        "state_of_charge": "record",
        "grid_import_total": "record",
        "last_seen": "record",
    }
    assert all_.listens(record, "state_of_charge")
    assert listening(all_.see(BATTERY, status)) == {
        "state_of_charge": "status",
        "last_seen": "status",
    }
    assert all_.see(BATTERY, record) == []
    assert not all_.listens(record, "state_of_charge")
    assert listening(list(all_.all())) == {
        "state_of_charge": "status",
        "grid_import_total": "record",
        "last_seen": "status",
    }


def test_every_kind_of_message_has_its_rank() -> None:
    from inverterproto.alphaess.messages import KINDS

    assert {"data", "handshake", "wifi", *KINDS.values()} <= set(RANK)


def test_a_logger_is_told_of_before_what_it_carries() -> None:
    configs = entities().see(INVERTER, reading("data", "active_power", identity=INVERTER))
    assert [said(each)["unique_id"] for each in configs] == [
        "inverterproto_deye_2712345678_last_seen",
        "inverterproto_deye_2301234567_active_power",
        "inverterproto_deye_2301234567_last_seen",
    ]
    assert said(configs[0])["state_topic"] == "inverterproto/deye/2712345678/seen/state"
    assert said(configs[0])["device"]["name"] == "Logger 2712345678"


def test_a_logger_has_what_it_says_of_itself() -> None:
    all_ = entities()
    hello = reading("handshake", "signal_strength", identity=LOGGER)
    assert listening(all_.see(LOGGER, hello)) == {
        "signal_strength": "handshake",
        "last_seen": "seen",
    }
    data = reading("data", "active_power", identity=INVERTER)
    assert listening(all_.see(INVERTER, data)) == {"active_power": "data", "last_seen": "data"}


def test_what_is_learned_of_a_device_is_told_with_all_its_entities() -> None:
    all_ = entities()
    early = INVERTER._replace(model=None, firmware=None)
    shown = reading("data", "active_power", "energy_total", identity=INVERTER)
    assert len(all_.see(early, shown)) == 4
    again = all_.see(INVERTER, shown)
    assert [said(each)["device"]["sw_version"] for each in again] == ["V1.2.1.8"] * 3
    assert all_.see(INVERTER, shown) == []
