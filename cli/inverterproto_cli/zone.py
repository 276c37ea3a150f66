"""What clocks in the household show."""

from datetime import UTC, datetime, tzinfo


def utc_offset(now: float, zone: tzinfo | None = None) -> float:
    """Return a zone's time minus UTC at some unix time, in seconds; this machine's by default."""
    offset = datetime.fromtimestamp(now, UTC).astimezone(zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
