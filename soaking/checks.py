"""What a process may hold more of after the soak than before it.

Descriptors and threads: none. Memory: `MOST_GROWTH`, for what is bounded and still fills: the pages
of the store's cache (16 MiB at the most), records that wait for their date, and gaps in the heap.
What leaks with each record or connection passes this within a soak of some minutes: 15 minutes have
300,000 records, and one that left 100 bytes behind would leave 28 MiB; those of the proxy have
45,000 connections, and one that left 600 bytes behind would leave 26 MiB. Where nothing leaks, the
proxy has grown by one or two MiB in that time, as its cache is full after the first minute.
"""

from soaking.server import Figures

MOST_GROWTH = 24.0
"""MiB."""


def growth(what: str, before: Figures, after: Figures) -> list[str]:
    """Return what a process has left behind."""
    wrong = []
    if after.descriptors > before.descriptors:
        wrong.append(f"{what} has {after.descriptors} descriptors, before {before.descriptors}")
    if after.threads > before.threads:
        wrong.append(f"{what} has {after.threads} threads, before {before.threads}")
    if after.memory > before.memory + MOST_GROWTH:
        grown = after.memory - before.memory
        wrong.append(f"{what} has grown by {grown:.1f} MiB, and may by {MOST_GROWTH:g}")
    return wrong
