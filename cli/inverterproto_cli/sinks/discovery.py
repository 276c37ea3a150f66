"""Home Assistant's MQTT discovery: what makes an entity of a quantity.

Pure: identities and keys in, topics and payloads out. All that is said of a quantity stands in
`inverterproto.quantity`.

Why it says what it says:

- *Unique ids* are made of family, serial and key alone, so that nothing that is learned later makes
  another entity, and its history goes on.
- *A quantity that a message lacks* leaves its entity as it is: Home Assistant ignores an empty text
  where it expects a number. A text it would take, so there the entity's own state is said again.
- *Measurements expire* after half an hour without a message; energies and totals never do: a gap
  in them would look like a reset of the meter. Nor does what describes the device, which is said
  once a day, perhaps. A retained message comes once more after a restart of Home Assistant or the
  broker, hours old perhaps: so the time in it is looked at, too.
- *Cells and modules* are there, but switched off: a battery may have hundreds.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from inverterproto.quantity import Quantity, lookup, template_of
from inverterproto_cli.sinks.sink import Identity
from inverterproto_cli.sinks.topics import Topics, is_plain, spelled

ORIGIN = "inverterproto"
EXPIRE_AFTER = 1800
"""Seconds after which a measurement is not known any more."""
LAST_SEEN = "last_seen"
"""Stands for the key of what is no quantity: when a device was heard last."""
_MANY = re.compile(r"^(cell|module)(_.*)?\{n\}|^cell_temperature_\{n\}")
_SPELLED = {"pv": "PV", "dc": "DC", "l1": "L1", "l2": "L2", "l3": "L3"}


class Alias(NamedTuple):
    """What another tool called a quantity of a device.

    Attributes:
        unique_id: of its entity, or None for ours.
        topic: where the plain value goes, too, if anywhere.
        object_id: of which Home Assistant makes the entity's id, if it is new there.
    """

    unique_id: str | None = None
    topic: str | None = None
    object_id: str | None = None


class Wishes(NamedTuple):
    """What the user wants of discovery.

    Attributes:
        topics: of the states.
        prefix: of the topics that Home Assistant listens to.
        names: serial → what the device is called.
        areas: serial → where it stands.
        aliases: serial → key → what another tool called it.
        version: of this program.
    """

    topics: Topics
    prefix: str = "homeassistant"
    names: Mapping[str, str] = {}
    areas: Mapping[str, str] = {}
    aliases: Mapping[str, Mapping[str, Alias]] = {}
    version: str | None = None

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.prefix}/status"

    def alias(self, serial: str, key: str) -> Alias:
        """Return what another tool called a quantity."""
        return self.aliases.get(serial, {}).get(key) or Alias()


class Config(NamedTuple):
    """A message that makes an entity."""

    topic: str
    payload: bytes


def quantity_config(identity: Identity, key: str, kind: str, wishes: Wishes) -> Config:
    """Return what makes the entity of a quantity.

    Args:
        identity: of the device.
        key: of the quantity.
        kind: of the messages that its entity listens to.
        wishes: the user's.
    """
    quantity = lookup(key)
    said: dict[str, object] = {
        "name": name_of(key),
        "value_template": _template(quantity),
        "device_class": quantity.device_class,
        "state_class": quantity.state_class,
        "unit_of_measurement": quantity.unit,
        "suggested_display_precision": quantity.precision,
        "entity_category": "diagnostic" if quantity.diagnostic else None,
    }
    if _expires(quantity):
        said["expire_after"] = EXPIRE_AFTER
    if _MANY.match(template_of(key)):
        said["enabled_by_default"] = False
    return _config(identity, key, kind, said, wishes)


def last_seen_config(identity: Identity, kind: str, wishes: Wishes) -> Config:
    """Return what makes the entity that says when a device was heard last."""
    said = {
        "name": "Last seen",
        "value_template": "{{ value_json.time }}",
        "device_class": "timestamp",
        "entity_category": "diagnostic",
    }
    return _config(identity, LAST_SEEN, kind, said, wishes)


def _config(
    identity: Identity, key: str, kind: str, said: Mapping[str, object], wishes: Wishes
) -> Config:
    family, serial = identity.family, identity.serial
    object_ = object_of(family, serial, key)
    alias = wishes.alias(serial, key)
    payload = {
        **said,
        "unique_id": alias.unique_id or object_,
        # Home Assistant before 2025.10, and from then on.
        "object_id": alias.object_id,
        "default_entity_id": alias.object_id and f"sensor.{alias.object_id}",
        "state_topic": wishes.topics.state(family, serial, kind),
        "availability": [{"topic": wishes.topics.availability}],
        "device": _device(identity, wishes),
        "origin": _present({"name": ORIGIN, "sw_version": wishes.version}),
    }
    return Config(
        config_topic(wishes.prefix, object_), json.dumps(_present(payload)).encode("ascii")
    )


def _device(identity: Identity, wishes: Wishes) -> dict[str, object]:
    family, serial, via = identity.family, identity.serial, identity.via
    return _present(
        {
            "identifiers": [_device_id(family, serial)],
            "name": wishes.names.get(serial) or f"{identity.kind.capitalize()} {spelled(serial)}",
            "manufacturer": identity.manufacturer,
            "model": identity.model,
            "sw_version": identity.firmware,
            "serial_number": serial if is_plain(serial) else spelled(serial),
            "suggested_area": wishes.areas.get(serial),
            "via_device": None if via in (None, serial) else _device_id(family, via),
        }
    )


def _present(said: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in said.items() if value is not None}


def _template(quantity: Quantity) -> str:
    value = f"value_json.{quantity.key}"
    if quantity.unit is None:
        known = "'unknown' if this.state == 'unavailable' else this.state"
        return f"{{{{ {value} if {value} is defined else {known} }}}}"
    said = f"{value} | default('')"
    if not _expires(quantity):
        return f"{{{{ {said} }}}}"
    age = "now().timestamp() - as_timestamp(value_json.time, 0)"
    return f"{{{{ {said} if {age} < {EXPIRE_AFTER} else '' }}}}"


def _expires(quantity: Quantity) -> bool:
    return quantity.state_class == "measurement" and not quantity.diagnostic


def name_of(key: str) -> str:
    """Return what people call a quantity; the device's name stands before it.

    >>> [name_of(key) for key in ("pv1_power", "grid_voltage_l2", "reactive_power_dc")]
    ['PV1 power', 'Grid voltage L2', 'Reactive power DC']
    """
    words = [_word(word) for word in key.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _word(word: str) -> str:
    plain = word.rstrip("0123456789")
    if word in _SPELLED:
        return _SPELLED[word]
    if plain in _SPELLED:
        return _SPELLED[plain] + word[len(plain) :]
    return f"{plain} {word[len(plain) :]}" if plain and plain != word else word


def _device_id(family: str, serial: str | None) -> str:
    return f"{ORIGIN}_{family}_{spelled(serial)}"


def object_of(family: str, serial: str, key: str) -> str:
    """Return our own unique id of an entity."""
    return f"{_device_id(family, serial)}_{key}"


def config_topic(prefix: str, object_: str) -> str:
    """Return where the message stands that makes an entity."""
    return f"{prefix}/sensor/{object_}/config"
