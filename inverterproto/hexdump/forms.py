"""The forms of dumps: each takes lines of text and returns the bytes that they would be.

A form never fails and never looks ahead; what it keeps of earlier lines is a few characters. It
may be wrong about a line: whether it is right shows in what decodes (see the package).
"""

from inverterproto.hexdump.fragment import Form
from inverterproto.hexdump.literals import Base64, Bits, Decimals, Literals
from inverterproto.hexdump.rows import Columns, DecimalRows, OctalRows, Rows, WordRows
from inverterproto.hexdump.words import Misspelt, Plain, Run, Words

FORMS: tuple[type[Form], ...] = (
    Rows,
    WordRows,
    OctalRows,
    DecimalRows,
    Columns,
    Plain,
    Words,
    Run,
    Literals,
    Bits,
    Decimals,
    Base64,
    Misspelt,
)
"""All forms, the stronger in front: they ask more of a line."""
