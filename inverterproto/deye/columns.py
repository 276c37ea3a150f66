"""Many data frames at once, as columns: what `measure.py` makes of one, of a hundred thousand.

How data passes through
-----------------------
`blocks` takes frames as they were kept. Those of one length become a table of bytes; envelope and
checksum are verified for all rows at once. Rows of one sensor type, and of one count of PV inputs
and phases, are a block: of them the same fields are published, so that the rules of `measure.py`
hold for whole columns. What fits into no block (other messages, unknown sensor types, layouts with
texts among their quantities, damaged frames, rare ones) is left out: `Message` reads it.

A property test holds blocks and messages to the same readings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.columns import Column, column_of, has_column, raw_columns, rounded, table_of
from inverterproto.deye.frame import END, ENVELOPE, PAYLOAD_AT, START
from inverterproto.deye.layouts import layout_of
from inverterproto.deye.measure import Published, published, pv_inputs, with_power
from inverterproto.deye.messages import DATA, HISTORIC, device_of
from inverterproto.field import Field
from inverterproto.layout import Layout
from inverterproto.octets import Octets, Value
from inverterproto.quantity import lookup

if TYPE_CHECKING:
    from inverterproto.columns import Bytes, Numbers, Rows

LEAST = 16
"""Fewer rows are no block: each by itself takes no longer."""
_SHORTEST = ENVELOPE + 3
"""A frame whose payload tells its sensor type."""
_TYPE_AT, _SERIAL_AT = 4, 7
_PHASES = (1, 2, 3)


class Block(NamedTuple):
    """The readings of many data frames, alike as far as it matters.

    Attributes:
        rows: which of the frames they are of.
        columns: what was measured, by quantity.
        devices: what measured it, as the devices of readings are.
        loggers: what carried it.
        historic: whether the device kept the record and sent it later.
    """

    rows: "Numbers"
    columns: dict[str, Column]
    devices: list[str]
    loggers: list[str]
    historic: "Rows"


def blocks(frames: Sequence[bytes], confidence: str = "B") -> Iterator[Block]:
    """Yield the readings of data frames, in blocks; those that are in none are not looked at.

    A frame without a reading may be in a block's frames, but is in none of its rows.
    """
    import numpy as np

    lengths = np.fromiter(map(len, frames), np.int64, len(frames))
    for length in _distinct(lengths):
        rows = np.flatnonzero(lengths == length)
        if length >= _SHORTEST and len(rows) >= LEAST:
            alike = len(rows) == len(frames)
            table = table_of(frames if alike else [frames[row] for row in rows.tolist()])
            yield from _of_length(table, rows, confidence)


class _Lot(NamedTuple):
    """Frames of one layout and length, with the same counts of PV inputs and phases."""

    table: "Bytes"
    rows: "Numbers"
    layout: Layout
    trackers: int | None
    phases: int | None

    @property
    def fields(self) -> dict[str, Field]:
        """The fields that the payloads hold whole, by name."""
        length = self.table.shape[1] - ENVELOPE
        return {field.name: field for field in self.layout.fields if field.end <= length}

    def raw(self, fields: Sequence[Field]) -> "list[Numbers]":
        return raw_columns(self.table, fields, PAYLOAD_AT)

    def among(self, chosen: "Rows", **counts: int | None) -> "_Lot":
        if chosen.all():
            return self._replace(**counts)  # type: ignore[arg-type]
        return self._replace(table=self.table[chosen], rows=self.rows[chosen], **counts)  # type: ignore[arg-type]


def _of_length(table: "Bytes", rows: "Numbers", confidence: str) -> Iterator[Block]:
    whole = _is_data(table)
    sensor_types = table[:, PAYLOAD_AT + 1] | table[:, PAYLOAD_AT + 2].astype("u2") << 8
    for sensor_type in _distinct(sensor_types[whole]):
        layout = layout_of(sensor_type)
        if layout is None:
            continue
        lot = _Lot(table, rows, layout, None, None).among(whole & (sensor_types == sensor_type))
        for one in _split(lot):
            block = _block(one, confidence) if len(one.rows) >= LEAST else None
            if block is not None:
                yield block


def _is_data(table: "Bytes") -> "Rows":
    """Return which rows are whole data frames, their checksum right."""
    import numpy as np

    size = table.shape[1]
    claimed = table[:, 1] | table[:, 2].astype("u2") << 8
    summed = np.add.reduce(table[:, 1:-2], axis=1, dtype=np.uint8)
    marked = (table[:, 0] == START) & (table[:, -1] == END) & (table[:, _TYPE_AT] == DATA)
    found: Rows = marked & (claimed == size - ENVELOPE) & (summed == table[:, -2])
    return found


def _distinct(numbers: "Numbers") -> list[int]:
    import numpy as np

    found: list[int] = np.unique(numbers).tolist()
    return found


def _split(lot: _Lot) -> Iterator[_Lot]:
    """Yield lots in which the counts of PV inputs and phases are the same."""
    trackers, phases = (_counts(lot, name) for name in (lot.layout.trackers, lot.layout.phases))
    for tracker in _distinct(trackers):
        for phase in _distinct(phases[trackers == tracker]):
            chosen = (trackers == tracker) & (phases == phase)
            yield lot.among(chosen, trackers=tracker or None, phases=phase or None)


def _counts(lot: _Lot, name: str | None) -> "Numbers":
    """Return what a counting field says in each row; 0 where there is none or it says nothing."""
    import numpy as np

    field = lot.fields.get(name or "")
    if field is None or not has_column(field) or field.ratio[1] != 1:
        return np.zeros(len(lot.rows), np.int64)
    [raw] = lot.raw([field])
    values, there = column_of(field, raw)
    return np.where(there & (values > 0), values, 0)


def _block(lot: _Lot, confidence: str) -> Block | None:
    """Return the readings of a lot; None if its quantities are no columns."""
    fields = lot.fields
    sources = [
        source
        for source in published(lot.layout, confidence, lot.trackers, lot.phases)
        if source.name in fields
    ]
    if len({source.key for source in sources}) < len(sources):
        return None
    if not all(_is_column(fields[source.name], source) for source in sources):
        return None
    measured = _Measured(_told(lot, [(fields[each.name], each) for each in sources]))
    if lot.phases is None:
        measured.drop_dead_phases()
    measured.derive(pv_inputs(lot.layout, lot.trackers))
    some = measured.rows_with_any(len(lot.rows))
    if not some.any():
        return None
    if not some.all():
        lot = lot.among(some)
        measured.keep(some)
    devices, loggers = _names(lot)
    historic = lot.table[:, PAYLOAD_AT] & HISTORIC != 0
    return Block(lot.rows, measured.columns, devices, loggers, historic)


def _is_column(field: Field, source: Published) -> bool:
    """Return whether a quantity is numbers, or a state by its names."""
    is_state = lookup(source.key).unit is None
    return has_column(field) and (source.names is None or is_state)


def _told(lot: _Lot, sources: Sequence[tuple[Field, Published]]) -> dict[str, Column]:
    """Return what the devices tell themselves, with the vocabulary's signs."""
    import numpy as np

    columns = {}
    raws = lot.raw([field for field, _ in sources])
    for (field, source), raw in zip(sources, raws, strict=True):
        column = column_of(field, raw)
        if source.names is not None:
            found, places = np.unique(raw, return_inverse=True)
            named = [_named(field.to_value(each), source.names) for each in found.tolist()]
            column = column._replace(values=np.array(named, object)[places])
        elif source.turned:
            column = column._replace(values=0 - column.values)
        columns[source.key] = column
    return columns


def _named(value: Value, names: Mapping[int, str]) -> str | None:
    return names.get(int(value), str(value)) if isinstance(value, int | float) else None


class _Measured:
    """Quantities of many payloads, put right as `measure.py` does with those of one.

    Args:
        told: what the devices told themselves.

    Attributes:
        columns: what may be published.
    """

    def __init__(self, told: dict[str, Column]) -> None:
        self.columns = told
        self._told: dict[str, Rows] = {}

    def drop_dead_phases(self) -> None:
        """Leave out phases without voltage, as long as another one has some."""
        voltages = {n: self.columns.get(f"grid_voltage_l{n}") for n in _PHASES}
        found = {n: each for n, each in voltages.items() if each is not None}
        live: Any = False
        for voltage in found.values():
            live = live | (voltage.there & (voltage.values != 0))
        for n, voltage in found.items():
            dead = live & voltage.there & (voltage.values == 0)
            for key, column in self.columns.items():
                if key.endswith(f"_l{n}"):
                    self.columns[key] = column._replace(there=column.there & ~dead)

    def derive(self, inputs: tuple[int, ...]) -> None:
        """Leave out what is impossible, and add what is implied."""
        self._told = {key: column.there for key, column in self.columns.items()}
        for key, column in self.columns.items():
            self.columns[key] = _possible(key, column)
        for stem in with_power(inputs):
            voltage = self.columns.get(f"{stem}_voltage")
            current = self.columns.get(f"{stem}_current")
            if voltage is not None and current is not None:
                power = rounded(voltage.values * current.values, 2)
                self._add(f"{stem}_power", Column(power, voltage.there & current.there))
        if inputs:
            self._add_sum("pv_power", [f"pv{n}_power" for n in inputs], needed=True)
        phases = sorted(key for key in self._told if key.startswith("grid_power_l"))
        if phases:
            self._add_sum("grid_power", phases, needed=False)

    def _add_sum(self, key: str, parts: list[str], *, needed: bool) -> None:
        """Add a sum.

        Args:
            key: of the sum.
            parts: the keys of what is summed up.
            needed: whether all must be there, or only those that the device told.
        """
        import numpy as np

        columns = [self.columns.get(part) for part in parts]
        present = [column for column in columns if column is not None]
        if len(present) < len(parts):
            return
        total = np.zeros(len(present[0].there))
        told = np.zeros(len(total), np.bool_)
        there = np.ones(len(total), np.bool_)
        for part, column in zip(parts, present, strict=True):
            wanted = np.ones(len(total), np.bool_) if needed else self._told[part]
            total = np.where(wanted, total + column.values.astype(np.float64), total)
            told |= wanted
            there &= ~wanted | column.there
        self._add(key, Column(rounded(total, 4), told & there))

    def _add(self, key: str, column: Column) -> None:
        """Add a quantity where the device did not tell it, and it is possible."""
        import numpy as np

        column = _possible(key, column)
        own, told = self.columns.get(key), self._told.get(key)
        if own is not None and told is not None:
            if told.all():
                return
            if own.values.dtype != column.values.dtype:  # integers stay integers
                own, column = own.of_objects(), column.of_objects()
            values = np.where(told, own.values, column.values)
            column = Column(values, np.where(told, own.there, column.there))
        self.columns[key] = column

    def rows_with_any(self, count: int) -> "Rows":
        """Return the rows in which anything was measured."""
        import numpy as np

        found = np.zeros(count, np.bool_)
        for column in self.columns.values():
            found |= column.there
        return found

    def keep(self, rows: "Rows") -> None:
        """Keep some rows only."""
        self.columns = {
            key: Column(values[rows], there[rows]) for key, (values, there) in self.columns.items()
        }


def _possible(key: str, column: Column) -> Column:
    """Return a quantity without what is physically impossible."""
    entry = lookup(key)
    values, there = column
    if values.dtype == object:
        return column
    if entry.minimum is not None:
        there = there & (values >= entry.minimum)
    if entry.maximum is not None:
        there = there & (values <= entry.maximum)
    return Column(values, there)


def _names(lot: _Lot) -> tuple[list[str], list[str]]:
    """Return what measured each row, and what carried it."""
    import numpy as np

    logger = lot.table[:, _SERIAL_AT : _SERIAL_AT + 4]
    field = lot.fields.get("inverter_serial")
    own = lot.table[:, :0]
    if field is not None and isinstance(field.type, Octets):
        own = lot.table[:, PAYLOAD_AT + field.offset : PAYLOAD_AT + field.end]
    both = np.hstack((logger, own))
    if (both == both[0]).all():
        both = both[:1]
    told = both.view(f"V{both.shape[1]}")[:, 0].tolist()
    names = {}
    for raw in set(told):
        via = str(int.from_bytes(raw[:4], "little"))
        serial = None if field is None or len(raw) == 4 else field.to_value(raw[4:])
        names[raw] = device_of(serial, via), via
    if len(told) < len(lot.rows):
        [(device, via)] = names.values()
        return [device] * len(lot.rows), [via] * len(lot.rows)
    return [names[raw][0] for raw in told], [names[raw][1] for raw in told]
