"""Sorts the entries of a log by their type."""

from collections.abc import Iterable

from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.rooms.roster import Entry


def events_of(entries: Iterable[RoomEntry]) -> list[Entry]:
    """Those that are events, decoded."""
    return [entry.entry() for entry in entries if isinstance(entry, StoredEvents)]


def signals_of(entries: Iterable[RoomEntry]) -> list[StoredSignal]:
    """Those that are signals."""
    return [entry for entry in entries if isinstance(entry, StoredSignal)]
