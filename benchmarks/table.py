"""Showing what was measured, for people and for machines."""

import json
from collections.abc import Iterable

from benchmarks.measure import Line


def text(title: str, lines: Iterable[Line]) -> str:
    """Return a group's table."""
    rows = [_cells(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    out = [title]
    for what, value, ratio, goal, verdict, note in rows:
        cells = (
            what.ljust(widths[0]),
            value.rjust(widths[1]),
            ratio.rjust(widths[2]),
            goal.rjust(widths[3]),
            verdict.ljust(widths[4]),
            note,
        )
        out.append("  " + "  ".join(cells).rstrip())
    return "\n".join(out)


def _cells(line: Line) -> tuple[str, str, str, str, str, str]:
    value = "–" if line.value is None else f"{_short(line.value)} {line.unit}"
    ratio = "" if line.ratio is None else f"{_short(line.ratio)}×"
    goal = "" if line.goal is None else str(line.goal)
    verdict = {True: "pass", False: "MISS", None: ""}[line.met]
    return line.what, value, ratio, goal, verdict, line.note


def _short(number: float) -> str:
    """Return a number with three figures."""
    return f"{number:,.0f}" if number >= 99.95 else f"{number:#.3g}"


def json_line(group: str, line: Line) -> str:
    """Return a line of the table as JSON."""
    return json.dumps(
        {
            "group": group,
            "what": line.what,
            "value": line.value,
            "unit": line.unit,
            "ratio": line.ratio,
            "goal": None if line.goal is None else str(line.goal),
            "met": line.met,
            "note": line.note,
        },
        ensure_ascii=False,
    )
