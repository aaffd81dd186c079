"""Points in time on the wire: RFC 3339 in UTC with milliseconds. Reads no clock; `now` is always an argument."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """`2026-02-11T10:10:00.000Z` for Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(text: str) -> float:
    """Unix seconds of an RFC 3339 time. Raises ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset from UTC")
    return moment.timestamp()
