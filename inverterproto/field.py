"""One field of a payload: everything that is known of it, once."""

from collections.abc import Mapping
from functools import cache
from math import inf
from typing import Any, NamedTuple

from inverterproto.errors import FieldError
from inverterproto.octets import Octets, Value
from inverterproto.private import Private
from inverterproto.quantity import QUANTITIES, template_of

_OFF_STEP = 0.01
"""So much of a step a value may be off a raw step."""


@cache
def _ratio(scale: str) -> tuple[int, int]:
    """Return numerator and denominator of a scale such as `"1/10"`."""
    numerator, _, denominator = scale.partition("/")
    return int(numerator), int(denominator or 1)


class Field(NamedTuple):
    """One field of a payload.

    Attributes:
        offset: of its first byte in the payload.
        name: its name in `fields`.
        type: a construct integer, or one of `Text`, `Raw`, `Clock`, `Mac`, `Version`.
        scale: the fraction by which the raw integer is multiplied: `"1/10"`, `"10"`.
        bias: subtracted from the raw integer before that.
        unit: of the value; if None and there is a quantity, that quantity's.
        quantity: the vocabulary's key that this field measures, if it measures one.
        turned: the device counts in the other direction than the vocabulary.
        absent: raw integers that mean "not fitted" or "no reading".
        names: what the values of an enumeration mean.
        confidence: A two independent sources or real bytes, B one source, C a guess.
        source: letters of the sources (see the protocol pages).
        private: the kind of secret it holds, if any.
        hexadecimal: people read its numbers in base 16.
        meaning: a few words for people, where the name does not say it all.
    """

    offset: int
    name: str
    type: Any
    scale: str = "1"
    bias: int = 0
    unit: str | None = None
    quantity: str | None = None
    turned: bool = False
    absent: tuple[int, ...] = ()
    names: Mapping[int, str] | None = None
    confidence: str = "A"
    source: str = ""
    private: Private | None = None
    hexadecimal: bool = False
    meaning: str = ""

    @property
    def size(self) -> int:
        """The number of bytes."""
        size: int = self.type.length
        return size

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + self.size

    @property
    def known(self) -> bool:
        """Whether the field means something to us."""
        return not self.name.startswith("unknown_")

    @property
    def symbol(self) -> str:
        """The unit's symbol, or nothing."""
        if self.unit is None and self.quantity is not None:
            return QUANTITIES[template_of(self.quantity)].unit or ""
        return self.unit or ""

    @property
    def ratio(self) -> tuple[int, int]:
        """Numerator and denominator of the scale."""
        return _ratio(self.scale)

    @property
    def type_name(self) -> str:
        """The type as the documentation writes it: `u16be`, `text 16`."""
        if isinstance(self.type, Octets):
            return self.type.title
        code = self.code
        order = "" if self.size == 1 else ("be" if self.order == ">" else "le")
        return f"{'u' if code.isupper() else 's'}{8 * self.size}{order}"

    @property
    def formula(self) -> str:
        """How the value follows from the raw integer, in words; nothing where it is just that."""
        if isinstance(self.type, Octets):
            return ""
        numerator, denominator = self.ratio
        text = f"raw − {self.bias}" if self.bias else "raw"
        if self.bias and self.scale != "1":
            text = f"({text})"
        text += f" × {numerator}" if numerator != 1 else ""
        text += f" / {denominator}" if denominator != 1 else ""
        parts = [text] if text != "raw" else []
        parts += [f"raw {raw}: none" for raw in self.absent]
        parts += [f"{raw}: {name}" for raw, name in (self.names or {}).items()]
        parts += ["hexadecimal"] if self.hexadecimal else []
        return "; ".join(parts)

    @property
    def code(self) -> str:
        """The type's letter (and count) in a `struct` format."""
        return f"{self.size}s" if isinstance(self.type, Octets) else str(self.type.fmtstr)[1]

    @property
    def order(self) -> str:
        """The byte order as `struct` has it, or nothing where it does not matter."""
        return "" if isinstance(self.type, Octets) or self.size == 1 else str(self.type.fmtstr)[0]

    @property
    def raw_range(self) -> tuple[int, int]:
        """The least and the greatest raw integer."""
        bits = 8 * self.size
        return (
            (0, 2**bits - 1) if self.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        )

    def to_value(self, raw: Any) -> Value:  # noqa: ANN401 - what struct or construct gives
        """Turn what the bytes hold (an integer, or bytes) into the field's value."""
        if isinstance(self.type, Octets):
            return self.type.decode(raw)
        if raw in self.absent:
            return None
        numerator, denominator = self.ratio
        number: int = (raw - self.bias) * numerator
        return number if denominator == 1 else number / denominator

    def to_bytes(self, value: Value) -> bytes:
        """Return the field's bytes for a value.

        Raises:
            FieldError: for a value that the field cannot carry.
        """
        if isinstance(self.type, Octets):
            try:
                octets = self.type.encode(value)
                if len(octets) != self.size:
                    raise ValueError(f"exactly {self.size} bytes")
                return octets
            except (ValueError, TypeError, AttributeError) as error:
                raise FieldError(
                    self.name, "cannot be written", expected=self.type.title, found=_shown(value)
                ) from error
        raw, signed = self.to_raw(value), self.code.islower()
        return raw.to_bytes(self.size, "big" if self.order == ">" else "little", signed=signed)

    def to_raw(self, value: Value) -> int:
        """Return the raw integer for a number, or for None where the field has an absent value."""
        if value is None and self.absent:
            return self.absent[0]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._unfit("not a number", _shown(value))
        numerator, denominator = self.ratio
        exact = value * denominator / numerator + self.bias if abs(value) < 2**64 else inf
        low, high = self.raw_range
        # The comparison is written so that NaN fails it, too.
        if not low - _OFF_STEP <= exact <= high + _OFF_STEP:
            raise self._unfit("out of range", value)
        raw = round(exact)
        if abs(exact - raw) > _OFF_STEP:
            raise self._unfit("not a step of the scale", value)
        if raw in self.absent:
            raise FieldError(
                self.name, "stands for 'no reading'", expected="null for that", found=value
            )
        return raw

    def _unfit(self, why: str, found: object) -> FieldError:
        """Return the error for what is no value of this field; it says what could be one."""
        numerator, denominator = self.ratio
        low, high, step = (
            raw * numerator if denominator == 1 else raw * numerator / denominator
            for raw in (*(bound - self.bias for bound in self.raw_range), 1)
        )
        expected = f"{low} to {high} in steps of {step}"
        return FieldError(self.name, why, expected=expected, found=found)


def _shown(value: object) -> str:
    """Return a value as an error tells it: bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else repr(value)


def measured(
    offset: int,
    key: str,
    type: Any,  # noqa: A002, ANN401 - the field's own name for it; a construct type
    scale: str = "1",
    **more: Any,  # noqa: ANN401 - the rest of Field
) -> Field:
    """Declare a field that measures a quantity and bears its name."""
    return Field(offset, key, type, scale, quantity=key, **more)


class Row(NamedTuple):
    """A field in its place in a frame, for people.

    Attributes:
        offset: in the frame.
        raw: its bytes.
        field: its declaration.
        value: what it says.
    """

    offset: int
    raw: bytes
    field: Field
    value: Any
