"""The real frames that are measured: those of `fixtures/`."""

from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"


def frame(family: str, name: str) -> bytes:
    """Return the frame of a fixture."""
    found = list((FIXTURES / family).rglob(f"{name}.hex"))
    if len(found) != 1:
        raise FileNotFoundError(f"{len(found)} fixtures of {family} are called {name}")
    return bytes.fromhex(found[0].read_text())


def micro_inverter() -> bytes:
    """Return the real micro-inverter's data frame, 343 bytes."""
    return frame("deye", "micro-5408-realtime")


def status() -> bytes:
    """Return a battery's real status frame, 276 bytes."""
    return frame("alphaess", "status-1")
