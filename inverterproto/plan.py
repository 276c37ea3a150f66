"""The hot path of a layout: a parser generated from its fields.

For each number of fields that a payload may hold, one function: precompiled `struct.Struct`s (one
for each run of fields of one byte order) unpack the bytes, and a copy of a template dict takes the
results, with all conversions written out. (A dict display of the same size takes half as long
again: the interpreter grows it step by step.) `construct` does the same from the same declaration,
an order of magnitude slower; a property test holds the two to the same result.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from inverterproto.field import Field
from inverterproto.octets import Octets, Value


class Plan(NamedTuple):
    """The derived parser for payloads that hold a given number of a layout's fields."""

    parse: Callable[[bytes], dict[str, Value]]
    end: int
    rest: str


def derive_plan(fields: tuple[Field, ...]) -> Plan:
    """Generate the parser for exactly these fields."""
    runs: list[tuple[str, list[int]]] = []
    for index, field in enumerate(fields):
        order = field.order
        if runs and (not order or not runs[-1][0] or order == runs[-1][0]):
            runs[-1] = (runs[-1][0] or order, [*runs[-1][1], index])
        else:
            runs.append((order, [index]))
    scope: dict[str, Any] = {"template": dict.fromkeys(field.name for field in fields)}
    lines = ["def parse(data):", " d=template.copy()"]
    for number, (order, members) in enumerate(runs):
        codes = "".join(fields[index].code for index in members)
        scope[f"u{number}"] = Struct((order or "<") + codes).unpack_from
        targets = "".join(f"v{index}," for index in members)
        lines.append(f" {targets}=u{number}(data,{fields[members[0]].offset})")
    lines += (
        f" d[{field.name!r}]={_expression(index, field, scope)}"
        for index, field in enumerate(fields)
    )
    lines.append(" return d")
    # Only field names (checked by Layout) and integers of the declaration reach the source.
    exec("\n".join(lines), scope)  # noqa: S102 - the same technique as namedtuple and dataclass
    end = fields[-1].end if fields else 0
    return Plan(scope["parse"], end, f"unknown_{end}")


def _expression(index: int, field: Field, scope: dict[str, Any]) -> str:
    """Return the source that converts variable `v<index>` to the field's value."""
    variable = f"v{index}"
    if isinstance(field.type, Octets):
        if field.type.decode is bytes:
            return variable
        scope[f"d{index}"] = field.type.decode
        return f"d{index}({variable})"
    numerator, denominator = field.ratio
    source = f"({variable}-{field.bias})" if field.bias else variable
    if numerator != 1:
        source += f"*{numerator}"
    if denominator != 1:
        source += f"/{denominator}"
    if field.absent:
        # `in` a tuple of constants is compiled to a look at one frozen set; `==` is faster still.
        one, *more = field.absent
        test = f"in {field.absent!r}" if more else f"=={one}"
        source = f"None if {variable} {test} else {source}"
    return source
