"""From when on events are wanted: `10m`, `2026-02-11T10:00:00Z`, `all` (pure)."""

import re
from datetime import UTC, datetime, timedelta

from parley.cli.exits import wrong

ALL = "all"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime) -> datetime | None:
    """The moment that is meant; None for the beginning of everything. Raises Stop."""
    if text == ALL:
        return None
    ago = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if ago is not None:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise wrong("--since is like 10m, 2h, 7d, 2026-02-11T10:00:00Z or all") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
