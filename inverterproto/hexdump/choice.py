"""All forms side by side, line by line, and the choice between what they find.

*The choice.* Frames are given in the order of their lines. One that a stronger form may dispute
(it has begun to see a frame in an earlier line) waits. Before a frame is given, the other forms
give up what they wait for in its lines and before, since nothing of that can be given later.

*Lines that need not be read.* While a form sees a frame that has begun, weaker forms that see none
are not asked: most often the frame turns out to be one, and nothing else in its lines counts.
Else they read these lines afterwards. And a form that sees none need not read a line that does not
hold, as it writes bytes, one that begins a frame.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from inverterproto.hexdump.forms import FORMS
from inverterproto.hexdump.fragment import may_begin
from inverterproto.hexdump.search import Find, Piece, Search
from inverterproto.hexdump.words import Plain
from inverterproto.stream import Framing

MOST_WAITING = 256
"""Frames and would-be frames that wait for the choice."""
MOST_DEFERRED = 1 << 20
"""Characters of lines that some forms have not read yet, with `LINE_COST` for each line."""
LINE_COST = 100
"""What a waiting line takes beside its characters, even an empty one."""

PLAIN = FORMS.index(Plain)

Note = Callable[[str], object]


class Choice:
    """Reads lines in all forms and chooses.

    Args:
        framings: of the frames that are looked for.
        note: is told what was read how, and what was left out.

    Attributes:
        searches: one for each form.
        taken: the last line of what was given.
        taken_by: the form of what was given last.
        all_is_plain: whether all lines are plain hex; the user says so.
        plain_first: the first frame stands in plain hex, as all before it does: nothing is given.
        decodes: something was given.
    """

    def __init__(self, framings: Sequence[Framing], note: Note) -> None:
        self.searches = [Search(rank, form(), framings) for rank, form in enumerate(FORMS)]
        self.taken = 0
        self.taken_by = -1
        self.all_is_plain = True
        self.plain_first = False
        self.decodes = False
        self._note = note
        starts = bytes(framing.start for framing in framings)
        self._may_begin = {s.spelling: may_begin(s.spelling, starts) for s in self.searches}
        self._waiting: list[Find] = []
        self._deferred: deque[tuple[int, str]] = deque()
        self._deferred_size = 0

    def read(self, line: str, number: int) -> list[Piece]:
        """Take a line, return the bytes that are chosen now."""
        if self._read(line, number):
            self._deferred.append((number, line))
            self._deferred_size += len(line) + LINE_COST
            if self._deferred_size > MOST_DEFERRED:
                self._read_deferred(number + 1)
        return self._settle() if self._waiting else []

    def finish(self) -> list[Piece]:
        """Return the last bytes that are chosen."""
        self._read_deferred(self._deferred[-1][0] + 1 if self._deferred else 0)
        for search in self.searches:
            self._add(search.finish())
        return self._settle(final=True)

    def forget(self, *, decodes: bool) -> None:
        """Give up all that has come: it is plain hex, with frames in it or not."""
        self.plain_first = False
        self.decodes = decodes
        self._waiting.clear()
        self._deferred.clear()
        self._deferred_size = 0
        for search in self.searches:
            search.forget()

    def _read(self, line: str, number: int) -> bool:
        """Let the forms read a line, strong ones first, until one of them sees a frame in it.

        Returns:
            Whether some form may not have read it.
        """
        is_busy = False
        begins: dict[str, object] = {}
        for search in self.searches:
            if search.is_idle:
                if is_busy:
                    continue
                if self._deferred:
                    self._read_deferred(number)
                spelling = search.spelling
                if spelling not in begins:
                    begins[spelling] = self._may_begin[spelling](line)
                if search.is_idle and not begins[spelling]:
                    search.read_to = number
                    continue
            if finds := search.read(line, number):
                self._add(finds)
                is_busy = is_busy or any(find.is_frame for find in finds)
            is_busy = is_busy or search.is_inside
        return is_busy

    def _read_deferred(self, before: int) -> None:
        """Let forms read the lines, up to one, that they have not read."""
        while self._deferred and self._deferred[0][0] < before:
            number, line = self._deferred.popleft()
            self._deferred_size -= len(line) + LINE_COST
            if number > self.taken:
                for search in self.searches:
                    if search.read_to < number and (
                        not search.is_idle or self._may_begin[search.spelling](line)
                    ):
                        self._add(search.read(line, number))

    def _add(self, finds: Iterable[Find]) -> None:
        for find in finds:
            insort(self._waiting, find)

    def _settle(self, *, final: bool = False) -> list[Piece]:
        """Choose among what was found, as far as that can be done now."""
        pieces: list[Piece] = []
        while frame := self._ready(final=final):
            if self.all_is_plain and frame.rank == PLAIN and not self.decodes:
                self.plain_first = True
                return pieces
            self._catch_up(frame)
            if self._ready(final=final) != frame:
                continue
            before = [
                one
                for one in self._waiting
                if not one.is_frame
                and (one.last < frame.first or (one.rank == frame.rank and one < frame))
            ]
            self._see_that_it_decodes()
            for one in before:
                pieces += self._give(one)
            pieces += self._give(frame)
            done = {*before, frame}
            self._waiting = [one for one in self._waiting if one not in done and self._is_free(one)]
        if final and not self._may_be_plain:
            for one in self._waiting:
                pieces += self._give(one)
            self._waiting.clear()
        while len(self._waiting) > MOST_WAITING:
            pieces += self._give(self._waiting.pop(0))
        return pieces

    @property
    def _may_be_plain(self) -> bool:
        """Whether nothing speaks against the plain reading of the whole text."""
        if not self.all_is_plain or self.decodes:
            return False
        waiting = [one for one in self._waiting if not one.is_broken]
        return not waiting or any(one.rank == PLAIN for one in waiting)

    def _ready(self, *, final: bool) -> Find | None:
        """Return the first frame, if no stronger form can dispute it any more."""
        frame = next((find for find in self._waiting if find.is_frame), None)
        if frame is None or final:
            return frame
        for search in self.searches[: frame.rank]:
            line = search.pending
            if line is not None and self.taken < line <= frame.first:
                return None  # what comes later must not overtake it
        return frame

    def _catch_up(self, frame: Find) -> None:
        """Let the other forms read what they have not, and give up what they wait for.

        Nothing that begins in the frame's lines can be given any more; and where one waits in
        vain for a frame that seemed to begin before, there may be a real one behind that.
        """
        self._read_deferred(frame.first)
        for search in self.searches:
            line = search.pending
            if search.rank != frame.rank and line is not None and line <= frame.last:
                found = search.restart(frame.last)
                self._add(
                    find for find in found if find.last < frame.first or find.first > frame.last
                )

    def _is_free(self, find: Find) -> bool:
        return find.first > self.taken or find.rank == self.taken_by

    def _give(self, find: Find) -> list[Piece]:
        if not self._is_free(find):
            return []
        if not find.is_broken:
            self._see_that_it_decodes()
        elif not self.decodes:
            return []  # where nothing decodes, `salvage` finds what there is to show
        if find.first > self.taken + 1:
            self.leave_out(find.first)
        if find.rank != self.taken_by:
            form = self.searches[find.rank].form.name
            self._note(f"from line {find.first:,}: read as {form}")
        if find.piece.masked:
            count = len(find.piece.masked)
            what = "a masked byte" if count == 1 else f"{count} masked bytes"
            self._note(f"line {find.first:,}: a frame with {what}")
        self.taken, self.taken_by = find.last, find.rank
        return [find.piece]

    def _see_that_it_decodes(self) -> None:
        if not self.decodes:
            self.decodes = True
            for search in self.searches:
                search.kept = None

    def leave_out(self, until: int) -> None:
        """Say that the lines from the last taken one to some line are left out."""
        first, last = self.taken + 1, until - 1
        lines = f"line {first:,}" if first == last else f"lines {first:,} to {last:,}"
        self._note(f"left out {lines}: nothing in it decodes")
