"""A failing stream, made as small as it will still fail."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from fuzzing.inputs import Case, Family

MOST_TRIES = 3000


def smaller(case: Case, families: Sequence[Family], fails: Callable[[Case], bool]) -> Case:
    """Return the smallest case found that still fails, by leaving out more and more bytes."""
    if fails(Case(case.stream, ())):
        case = Case(case.stream, ())
    tries, size = 0, len(case.stream) // 2
    while size and tries < MOST_TRIES:
        start = 0
        while start < len(case.stream) and tries < MOST_TRIES:
            tries += 1
            found = next(filter(fails, _without(case, start, start + size, families)), None)
            case, start = (found, start) if found else (case, start + size)
        size //= 2
    return case


def _without(case: Case, start: int, end: int, families: Sequence[Family]) -> Iterator[Case]:
    """Yield cases without some bytes, the cuts moved; of one frame also the frame made right."""
    moved = (min(cut, start) if cut <= end else cut - (end - start) for cut in case.cuts)
    yield Case(case.stream[:start] + case.stream[end:], tuple(moved))
    for family in families:
        stream = case.stream
        if stream[:1] == bytes((family.framing.start,)):
            if family.framing.match(stream, 0, len(stream)) != len(stream):
                continue
            frame = family.Frame.parse(stream)
            payload = frame.payload[:start] + frame.payload[end:]
            if payload != frame.payload:
                yield Case(replace(frame, payload=payload).build(), case.cuts)
