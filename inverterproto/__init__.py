"""inverterproto: codecs for what solar inverters and home batteries tell their vendors' clouds.

Two families: Deye and every other maker on a Solarman/IGEN logger stick (*V5*,
`inverterproto.deye`) and AlphaESS (`inverterproto.alphaess`). The package is pure: bytes and values
in, values and bytes out; no sockets, files, clocks or threads.

The names in `__all__`, the JSON of `Decoded.to_json`, the quantity keys and the public names of
the two family packages are stable: within a major version they keep their meaning, and new ones
may come.
"""

from typing import TYPE_CHECKING

from inverterproto.lazy import exports

if TYPE_CHECKING:
    from inverterproto.decoding import Dates, Decoded, Decoder, decode
    from inverterproto.encoding import encode
    from inverterproto.errors import (
        ChecksumError,
        FieldError,
        IncompleteError,
        LayoutError,
        ProtocolError,
    )
    from inverterproto.families import FAMILIES, Family, recognise
    from inverterproto.layout import Field, Layout
    from inverterproto.quantity import QUANTITIES, Quantity
    from inverterproto.reading import Reading, Record, TimeSource
    from inverterproto.stream import Framed, Item, Reason, StreamDecoder, Unframed

_HOMES = {
    "ChecksumError": "errors",
    "Dates": "decoding",
    "Decoded": "decoding",
    "Decoder": "decoding",
    "FAMILIES": "families",
    "Family": "families",
    "Field": "layout",
    "FieldError": "errors",
    "Framed": "stream",
    "IncompleteError": "errors",
    "Item": "stream",
    "Layout": "layout",
    "LayoutError": "errors",
    "ProtocolError": "errors",
    "QUANTITIES": "quantity",
    "Quantity": "quantity",
    "Reading": "reading",
    "Reason": "stream",
    "Record": "reading",
    "StreamDecoder": "stream",
    "TimeSource": "reading",
    "Unframed": "stream",
    "decode": "decoding",
    "encode": "encoding",
    "recognise": "families",
}

__all__ = [
    "FAMILIES",
    "QUANTITIES",
    "ChecksumError",
    "Dates",
    "Decoded",
    "Decoder",
    "Family",
    "Field",
    "FieldError",
    "Framed",
    "IncompleteError",
    "Item",
    "Layout",
    "LayoutError",
    "ProtocolError",
    "Quantity",
    "Reading",
    "Reason",
    "Record",
    "StreamDecoder",
    "TimeSource",
    "Unframed",
    "decode",
    "encode",
    "recognise",
]


__getattr__, __dir__ = exports(__name__, _HOMES)
