r"""Bytes out of any text that people paste: dumps, literals, lists, log lines.

Theory of operation
-------------------
*One text, several forms.* What a text means cannot be told by its looks: `10 11 12` is hexadecimal,
decimal, or a time; the first word of a line is an address or data. So nobody decides. Each *form*
(`forms.py`: a dump with addresses, plain hex, words of hex among other words, Python literals,
decimal numbers, base64, …) reads every line in its own way and has a byte stream of its own, in
which a `StreamDecoder` looks for frames. A wrong reading gives noise, and noise holds no frame:
length, markers and checksum have to fit. **What decodes is right.** The digits of time stamps
need no rule of their own: they stand before a frame, where a decoder passes them over, or at the
same place of every line, where `forms.Run` leaves them out.

*Choosing* (`reader.py`). A frame occupies the lines it was found in, and no other form gives
anything of these. Of two that overlap, the one that begins earlier is taken, then the one of the
stronger form (those in front in `forms.FORMS` are stronger). A frame of a weak form waits while a
stronger one has begun to see a frame in an earlier line. What is a frame in all but its checksum,
and what has masked digits (`****`, `xx`), is given where no frame disputes its lines.

*Plain hex* is special: there every byte counts, also those that are no frame. As long as all of
the text is plain hex, and the first frame is found in that reading, all its bytes are given, and
the rest of the text is read by `plain.HexReader` alone, which is fast. Where nothing decodes at
all, that reader's result is the result: its bytes, or its error with line and column.

*Bounds.* No text is kept but the current line, of at most 1 MiB. A form's decoder holds what a
`StreamDecoder` holds. Of what waits for the choice there are at most `reader.MOST_WAITING`. The
expressions that read lines never go back (possessive quantifiers), so reading is linear.
"""

from inverterproto.hexdump.plain import HexReader, is_hex
from inverterproto.hexdump.reader import DumpReader, Whole, readings
from inverterproto.hexdump.search import Piece

__all__ = ["DumpReader", "HexReader", "Piece", "Whole", "is_hex", "readings"]
