"""What the store knows of a device beyond its name: model, firmware, how far its clock is off.

All of it is what the device said itself, in the record of device information that came last; what
none says is None. Of a Deye logger's inverter the sensor type says what kind it is.
"""

from typing import Any, NamedTuple

from inverterproto.families import FAMILIES
from inverterproto_cli.store.reader import Device, Kept, Reader


class About(NamedTuple):
    """What is known of a device.

    Attributes:
        model: as it calls itself.
        firmware: its version.
        sensor_type: of its last data, as people write it.
        kind: what data of that sensor type are of.
        clock_offset: its clock minus UTC, in seconds, where it has one.
    """

    model: str | None = None
    firmware: str | None = None
    sensor_type: str | None = None
    kind: str | None = None
    clock_offset: float | None = None


def about(reader: Reader, device: Device) -> About:
    """Return what is known of a device."""
    if device.family == "deye":
        return _deye(reader, device)
    return _alphaess(reader, device) if device.family == "alphaess" else About()


def _deye(reader: Reader, device: Device) -> About:
    handshake = _fields(reader.latest(device.id, "handshake"))
    last = next(reader.newest_of(device.id, most=1), None)
    if last is None or last.kind != "data":
        return About(firmware=_text(handshake, "logger_firmware"))
    family = FAMILIES["deye"]
    message = last.message()
    sensor_type = None if message is None else family.detail(message) or None
    layout = family.layouts.get(sensor_type or "")
    own = _fields(last)
    versions = ("ac_firmware", "inverter_version")
    firmware = next(filter(None, (_text(own, name) for name in versions)), None)
    return About(
        firmware=_text(handshake, "logger_firmware") or firmware,
        sensor_type=sensor_type,
        kind=None if layout is None else layout.title,
    )


def _alphaess(reader: Reader, device: Device) -> About:
    own = _fields(reader.latest(device.id, "configuration"))
    try:
        offset = FAMILIES["alphaess"].state(device.state).clock.offset  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - whatever happened to the file, the rest can be shown
        offset = None
    return About(
        model=_text(own, "Minv"),
        firmware=_text(own, "EMSVersion") or _text(own, "FirmwareVersion"),
        clock_offset=offset,
    )


def _fields(kept: Kept | None) -> dict[str, Any]:
    message = None if kept is None else kept.message()
    return {} if message is None else message.fields


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
