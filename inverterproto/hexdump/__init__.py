r"""Bytes out of any text that people paste: dumps, literals, lists, log lines.

Theory of operation
-------------------
*One text, several forms.* What a text means cannot be told by its looks: `10 11 12` is hexadecimal,
decimal, or a time; the first word of a line is an address or data. So nobody decides. Each *form*
(`forms.py`: a dump with addresses, plain hex, words of hex among other words, Python literals,
decimal numbers, base64, …) reads every line in its own way and has a byte stream of its own, in
which a `StreamDecoder` looks for frames (`search.py`). A wrong reading gives noise, and noise holds
no frame: length, markers and checksum have to fit. **What decodes is right.** The digits of time
stamps need no rule of their own: they stand before a frame, where a decoder passes them over, or at
the same place of every line, where `words.Run` leaves them out.

*Choosing* (`choice.py`). A frame occupies the lines it was found in, and no other form gives
anything of these. Of two that overlap, the one that begins in an earlier line is taken, then the
one of the stronger form (those in front in `forms.FORMS` are stronger). What is a frame in all but
its checksum, and what has masked digits (`****`, `xx`), is given where no frame disputes its lines;
so is, in forms of hex and beside good frames, what begins like a frame of a known kind and breaks
off. So frames in different forms may follow one another; on one line, one form is read.

*Plain hex* is special (`reader.py`): there every byte counts, also those that are no frame. As long
as all of the text is plain hex, and the first frame is found in that reading, all its bytes are
given, and the rest of the text is read by `plain.HexReader` alone, which is fast, up to the first
line that is something else, be it the first row of a dump (its address is 0).

*Where nothing decodes* (`salvage.py`), the reading in which there is at least the beginning of a
frame is shown, else one that gives some bytes, and the error says which and where plain hex ends.

*Bounds.* No text is kept but the current line, of at most 1 MiB, and as much of lines that weak
forms have yet to read. A form's decoder holds what a `StreamDecoder` holds; 64 KiB are kept while
nothing decodes. Of what waits for the choice there are at most `choice.MOST_WAITING`. The
expressions that read lines never go back (possessive quantifiers), so reading is linear.
"""

from inverterproto.hexdump.plain import HexReader, is_hex
from inverterproto.hexdump.reader import DumpReader, Whole, readings
from inverterproto.hexdump.search import Piece

__all__ = ["DumpReader", "HexReader", "Piece", "Whole", "is_hex", "readings"]
