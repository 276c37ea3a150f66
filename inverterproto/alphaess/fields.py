"""Every key that an AlphaESS battery or its cloud was seen to write, declared once.

`FIELDS` is the table. From it are derived the types of values, what is private, the typed status,
which keys measure which quantity, the rows that people see and the documentation's tables.

*Kinds.* Devices write nearly all values as JSON strings. A key's kind says what its text is to us:
a number where it is written as JSON writes numbers (and is no greater than any measured thing);
a bool where it is `"False"`, `"false"`, `false` or their opposites; else it stays the text. What
came as a JSON number or bool is one, whatever the key. So a text that does not fit its kind (an
empty energy total, `nan`) is kept, and measures nothing.

*Signs.* All keys count as the vocabulary does: checked on the real records, where PV, inverter,
meter and battery add up (Pbat and BatC − when charging, Pmeter… − when exporting).

Sources: V tidalvirus/alphaess-server (real frames), D 230delphi/alphaess-to-mqtt (definitions).
Two sources, or real frames in which a value's meaning shows, make an A.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from inverterproto.private import Private
from inverterproto.quantity import QUANTITIES, Number, template_of

STATUS = "status"
RECORD = "record"
STORED = "stored_records"
CONFIGURATION = "configuration"
CLOUD_CONFIGURATION = "cloud_configuration"
EVENT_LOG = "event_log"

GREATEST = 10**15
"""Texts of numbers beyond this stay texts: they measure nothing."""
_LONGEST_INTEGER = len(str(-GREATEST))


class Kind(StrEnum):
    """What a key's value is when it can be read."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"


class Field(NamedTuple):
    """One key.

    Attributes:
        name: the key as the protocol spells it.
        messages: names of the messages in which it was seen.
        kind: what its value is.
        unit: of the value as it is written; if None and there is a quantity, that quantity's.
        quantity: the vocabulary's key that it measures, if it measures one.
        convert: makes of the value the quantity's, where they are not the same.
        confidence: A two independent sources or real bytes, B one source, C a guess.
        source: letters of the sources.
        private: the kind of secret it holds, if any.
        bare: the cloud writes it as a JSON number, not as a string.
        derived: stands in no payload: we read it out of another value.
        meaning: a few words for people, where the name does not say it all.
    """

    name: str
    messages: tuple[str, ...]
    kind: Kind = Kind.NUMBER
    unit: str | None = None
    quantity: str | None = None
    convert: Callable[[Number], Number] | None = None
    confidence: str = "A"
    source: str = "V, D"
    private: Private | None = None
    bare: bool = False
    derived: bool = False
    meaning: str = ""

    @property
    def symbol(self) -> str:
        """The unit's symbol, or nothing."""
        if self.unit is None and self.quantity is not None:
            return QUANTITIES[template_of(self.quantity)].unit or ""
        return self.unit or ""


_TEXT, _BOOL = Kind.TEXT, Kind.BOOL
_LIVE = (STATUS, RECORD, STORED)
_FULL = (RECORD, STORED)
_BOTH = (CONFIGURATION, CLOUD_CONFIGURATION)
_OWN = (CONFIGURATION,)
_CLOUD = (CLOUD_CONFIGURATION,)
_PHASES = ((1, "a"), (2, "b"), (3, "c"))


def _each(messages: tuple[str, ...], names: str, **more: Any) -> Iterator[Field]:  # noqa: ANN401 - the rest of Field
    """Declare several keys that have all but their names in common."""
    for name in names.split():
        yield Field(name, messages, **more)


def _kilowatts(value: Number) -> Number:
    return round(value * 1000, 3)


def _low_millivolts(value: Number) -> Number:
    return (int(value) & 0xFFFF) / 1000


def _low_celsius(value: Number) -> Number:
    low = int(value) & 0xFFFF
    return low - 0x10000 if low & 0x8000 else low


def _status() -> Iterator[Field]:
    """Yield what statuses hold; full and stored records hold most of it too."""
    serial = "the battery's serial"
    yield Field("Time", _LIVE, _TEXT, meaning="by the battery's own clock, naive local time")
    yield Field("SN", (*_LIVE, *_BOTH), _TEXT, private=Private.SERIAL, meaning=serial)
    for n in (1, 2):
        yield Field(f"Ppv{n}", _LIVE, quantity=f"pv{n}_power", meaning=f"PV string {n}")
    for n, _ in _PHASES:
        meaning = "inverter output; − takes power in"
        yield Field(f"PrealL{n}", _LIVE, quantity=f"active_power_l{n}", meaning=meaning)
    for n, _ in _PHASES:
        meaning = "grid meter: + import, − export"
        yield Field(f"PmeterL{n}", _LIVE, quantity=f"grid_power_l{n}", meaning=meaning)
    meaning = "second meter: AC-coupled PV"
    yield Field("PmeterDC", _LIVE, quantity="pv_meter_power", meaning=meaning)
    meaning = "+ discharge, − charge"
    yield Field("Pbat", _LIVE, quantity="battery_power", meaning=meaning)
    yield Field("Sva", (STATUS,), quantity="apparent_power")
    yield Field("VarAC", (STATUS,), quantity="reactive_power")
    yield Field("VarDC", (STATUS,), quantity="reactive_power_dc")
    yield Field("SOC", _LIVE, quantity="state_of_charge")


def _record() -> Iterator[Field]:
    """Yield what only full and stored records hold."""
    yield Field("Date", (STORED,), _TEXT, source="V", meaning="goes before Time")
    for n in (1, 2):
        yield Field(f"Upv{n}", (RECORD,), quantity=f"pv{n}_voltage")
        yield Field(f"Vpv{n}", (STORED,), quantity=f"pv{n}_voltage", source="V", meaning="Upv")
    for n, letter in _PHASES:
        yield Field(f"U{letter}", _FULL, quantity=f"grid_voltage_l{n}", meaning="0: no such phase")
    yield Field("Fac", _FULL, quantity="grid_frequency")
    yield Field("Ubus", _FULL, quantity="bus_voltage")
    yield Field("Tinv", _FULL, quantity="inverter_temperature")
    yield from _each(_FULL, "PacL1 PacL2 PacL3 InvWorkMode")
    yield Field("EpvTotal", _FULL, quantity="pv_energy_total")
    yield Field("Einput", _FULL, quantity="grid_import_total")
    yield Field("Eoutput", _FULL, quantity="grid_export_total")
    yield Field("Echarge", _FULL, quantity="battery_charge_total")
    yield Field("EDischarge", _FULL, quantity="battery_discharge_total")
    yield Field("EGridCharge", _FULL, quantity="grid_charge_total")
    yield Field("BatV", _FULL, quantity="battery_voltage")
    meaning = "+ discharge, − charge"
    yield Field("BatC", _FULL, quantity="battery_current", meaning=meaning)
    yield Field("Pcharge", _FULL, quantity="charge_power_limit", meaning="limit")
    yield Field("Pdischarge", _FULL, quantity="discharge_power_limit", meaning="limit")
    yield from _each(_FULL, "FlagBms BmsWork BmsRelay BmsShutdown BmuRelay")
    yield from _each(_FULL, "BmsHardVer1 BmsHardVer2 BmsHardVer3")
    yield Field("BmsNum", _FULL, meaning="number of battery modules")
    for name, end in (("Low", "min"), ("High", "max")):
        yield _packed(f"Vcell{name}", f"cell_voltage_{end}", "mV", _low_millivolts)
        yield _packed(f"Tcell{name}", f"cell_temperature_{end}", "°C", _low_celsius)
    warnings = "IdTempelover IdTempEover IdTempediffe IdChargcurre IdDischcurre IdCellvolover"
    warnings += " IdCellvollower IdSoclower IdCellvoldiffe"
    yield from _each(_FULL, warnings, meaning="id of the cell that the warning is about")
    for n in range(1, 7):
        key = f"module{n}_current"
        yield Field(f"BatC{n}", _FULL, quantity=key, meaning="lags behind BatC by minutes")
    for n in range(1, 7):
        key = f"module{n}_state_of_charge"
        yield Field(f"SOC{n}", _FULL, quantity=key, meaning="lags behind SOC by minutes")
    yield from _each(_FULL, "ErrInv ErrEms ErrBms ErrMeter ErrBackupBox", quantity="fault")
    yield Field("WarInv", _FULL, quantity="alarm")
    yield Field("EmsStatus", _FULL, _TEXT, quantity="status")
    yield Field("InvBatV", _FULL, unit="V", meaning="battery voltage at the inverter")
    yield from _each(_FULL, "DispatchSwitch Pdispatch DispatchSoc DispatchMode")
    yield from _each((RECORD,), "PMeterDCL1 PMeterDCL2 PMeterDCL3", unit="W")
    yield from _each((RECORD,), "MeterDCUa MeterDCUb MeterDCUc", unit="V")
    yield Field("Eirp", (RECORD,), unit="dBm", confidence="B", meaning="radio signal")
    yield Field("CSQ", (RECORD,), _TEXT, confidence="B", meaning="modem's signal; 99: none")
    # Newer firmware.
    newer = "meter1.actpower GridF GridVolt PowerFactor"
    yield from _each((RECORD,), newer, confidence="B", source="D")
    for count, stem in ((14, "DSPDebug"), (10, "DSPDebugChg")):
        for n in range(1, count + 1):
            yield Field(f"{stem}{n}", (RECORD,), confidence="B", source="D")
    for stem in ("OVP1", "OVP2", "UVP1", "UVP2", "OFP", "UFP"):
        for part in ("Threshold", "TripValue", "TripTime"):
            yield Field(f"{stem}{part}", (RECORD,), confidence="B", source="D")
    yield Field("ICCID", (RECORD,), _TEXT, private=Private.SIM, confidence="C")


def _packed(name: str, quantity: str, unit: str, convert: Callable[[Number], Number]) -> Field:
    meaning = f"module, cell and, in the low 16 bits, {unit}"
    return Field(
        name, _FULL, unit="", quantity=quantity, convert=convert, confidence="C", meaning=meaning
    )


def _configuration() -> Iterator[Field]:
    """Yield what configurations hold: the battery's own, the cloud's, or both."""
    yield Field("License", _BOTH, _TEXT, private=Private.LICENCE)
    yield from _each(_BOTH, "Address ZipCode Country", kind=_TEXT, private=Private.ADDRESS)
    yield Field("PhoneNumber", _BOTH, _TEXT, private=Private.PHONE)
    serials = "InvSN " + " ".join(f"BatterySN{n}" for n in range(1, 19)) + " BakBoxSN SCBSN"
    yield from _each(_OWN, serials, kind=_TEXT, private=Private.SERIAL)
    yield Field("WifiSN", _BOTH, _TEXT, private=Private.SERIAL)
    yield Field("Popv", _BOTH, unit="kW", meaning="PV installed")
    yield Field("Minv", _BOTH, _TEXT, meaning="the inverter's model")
    yield Field("Poinv", _BOTH, unit="kW", quantity="rated_power", convert=_kilowatts)
    yield Field("Cobat", _BOTH, unit="kWh", meaning="capacity of the battery")
    yield Field("Mbat", _BOTH, _TEXT, meaning="the battery's model")
    yield Field("Uscapacity", _BOTH, unit="%", meaning="usable capacity")
    yield from _each(_BOTH, "OnGridCap StorageCap", unit="W")
    yield from _each(_BOTH, "Mmeter NetType WifiSW WifiHW SlaveVersion InvHWVersion", kind=_TEXT)
    yield from _each(_BOTH, "ACDC InstallMeterOption CTRate PVMeterCTRate GridMeterCTE PVMeterCTE")
    yield from _each(_BOTH, "MeterACNegate MeterDCNegate")
    yield from _each(_BOTH, "use_ct ct_rate FAAEnable", confidence="B", source="D")
    versions = "PVMeterMode BMSVersion EMSVersion InvVersion BakBoxVer SCBVer BMUModel"
    yield from _each(_OWN, f"{versions} FirmwareVersion", kind=_TEXT)
    yield from _each(_CLOUD, "InstallModule StringAE StringBE StringCE")
    yield from _each(_BOTH, "GridCharge CtrDis Generator BackUpBox Fan", kind=_BOOL)
    yield from _each(_CLOUD, "GridChargeWE CtrDisWE", kind=_BOOL, meaning="at week-ends")
    for use in ("Cha", "Dis"):
        hours = " ".join(f"Time{use}{end}{n}" for n in (1, 2) for end in "FE")
        yield from _each(_BOTH, hours, unit="h", meaning="whole hour, local time")
        hours = " ".join(f"Time{use}{end}WE{n}" for n in (1, 2) for end in "FE")
        yield from _each(_CLOUD, hours, unit="h", source="V", meaning="at week-ends")
    yield Field("BatHighCap", _BOTH, unit="%", meaning="charge from the grid up to this")
    yield Field("BatUseCap", _BOTH, unit="%", meaning="discharge down to this")
    yield from _each(_CLOUD, "BatHighCapWE BatUseCapWE", unit="%", meaning="at week-ends")
    yield from _each(_CLOUD, "ChargeWorkDays ChargeWeekend")
    yield from _each(_CLOUD, "SelfUseOrEconomic ReliefMode")
    yield from _each(_CLOUD, "MaxGridCharge VPPMode PmeterOffset PmeterMax", source="V")
    yield from _each(_CLOUD, "POCMeterEnable SafeSub", source="V")
    yield Field("CheckTime", _CLOUD, _TEXT, source="V", meaning="the cloud's local time")
    yield from _each(_BOTH, "BatReady SetMode SetPhase GeneratorMode GCOutputMode")
    yield Field("SetFeed", _BOTH, unit="%", meaning="greatest feed-in")
    yield from _each(_BOTH, "GCSOCStart GCSOCEnd", unit="%")
    yield from _each(_BOTH, "GCTimeStart GCTimeEnd GCChargePower GCRatedPower DG_Cap")
    yield Field("EmsLanguage", _BOTH, bare=True)
    yield from _each(_BOTH, "L1Priority L2Priority L3Priority")
    yield from _each(_BOTH, "L1SocLimit L2SocLimit L3SocLimit", unit="%")
    safety = "Safe PowerFact Volt5MinAvg Volt10MinAvg TempThreshold OutCurProtect DCI RCD PvISO"
    yield from _each(_BOTH, f"{safety} ChargeBoostCur")
    for n in (1, 2):
        times = f"StartTime{n}A EndTime{n}A StartTime{n}B EndTime{n}B Date{n}"
        yield from _each(_BOTH, times, kind=_TEXT, meaning=f"switched load {n}")
        rest = f"Channel{n} ControlMode{n} ChargeSOC{n} ChargeMode{n} UPS{n} SwitchOn{n}"
        rest += f" SwitchOff{n} Delay{n} Duration{n} Pause{n}"
        yield from _each(_BOTH, rest, meaning=f"switched load {n}")


def _conversation() -> Iterator[Field]:
    """Yield what logins, commands, replies and the event log hold."""
    meaning = "the battery's serial"
    yield Field("UserName", ("login",), _TEXT, private=Private.SERIAL, meaning=meaning)
    yield Field("Password", ("login",), _TEXT, private=Private.PASSWORD)
    yield Field("CompanyName", ("login",), _TEXT)
    yield Field("Command", ("command", "command_reply"), _TEXT)
    yield Field(
        "CmdIndex", ("command", "command_reply"), _TEXT, meaning="a reply bears its command's"
    )
    yield Field("Parameter1", ("command",), _TEXT, meaning="Resume: send what is held since then")
    yield Field("Parameter2", ("command",), unit="min", meaning="Resume: so many minutes")
    yield Field("Status", ("command_reply", *_CLOUD), _TEXT, meaning="also in every reply")
    yield Field("MsgType", (EVENT_LOG,), _TEXT, meaning="EventLog, System or Socket")
    yield Field("MsgContent", (EVENT_LOG,), _TEXT)
    yield Field("Description", (EVENT_LOG,), _TEXT, private=Private.TEXT)
    for name, private, meaning in (
        ("events", None, "time and code of each event"),
        ("restart_reason", None, "the numbers behind `reason:`"),
        ("mac", Private.MAC, "behind `MAC:`"),
    ):
        yield Field(
            name, (EVENT_LOG,), _TEXT, source="V", private=private, derived=True, meaning=meaning
        )


FIELDS: tuple[Field, ...] = (*_status(), *_record(), *_configuration(), *_conversation())
"""Every known key, in the order of the messages that hold it."""

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
"""The same by key."""

PRIVATE: dict[str, Private] = {
    field.name: field.private for field in FIELDS if field.private is not None
}
"""The keys whose values are private, and the kind of secret."""

_BOOLS = {"False": False, "false": False, "True": True, "true": True}
_match_number = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch


def fields_of(message: str) -> tuple[Field, ...]:
    """Return the keys of one message, by its name."""
    return tuple(field for field in FIELDS if message in field.messages)


def to_number(text: str) -> Number | None:
    """Return the number that a text is by JSON's grammar; None if none, or beyond `GREATEST`.

    Blanks around it do not count: some messages have one after a comma (source: V).
    """
    text = text.strip(" ")
    found = _match_number(text)
    if found is None:
        return None
    # The length is looked at first: Python refuses to read integers of thousands of digits.
    number = float(text) if found.lastindex or len(text) > _LONGEST_INTEGER else int(text)
    return number if -GREATEST <= number <= GREATEST else None


_READERS: dict[str, Callable[[str], Any]] = {
    field.name: to_number if field.kind is Kind.NUMBER else _BOOLS.get
    for field in FIELDS
    if field.kind is not Kind.TEXT
}


def to_value(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a JSON value is to us, by its key's kind."""
    reader = _READERS.get(name)
    if reader is None or not isinstance(value, str):
        return value
    typed = reader(value)
    return value if typed is None else typed
