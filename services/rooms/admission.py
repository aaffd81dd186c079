"""What is still admitted when storage runs out: a pure rule over a decision, and the bytes stored since the last look."""

from collections.abc import Sequence

from services.rooms.decision import RoomInput
from shared.rooms.commands import UpdateParticipant, UpdateRoom
from shared.rooms.events import RoomEvent
from shared.rooms.reserve import Reserve
from shared.telemetry import metrics
from shared.values.errors import Code, Refused

REFUSED = {what: metrics.RESERVE_REFUSED.labels(what) for what in ("join", "create", "change")}

EVENT_BYTES = 1024  # of one event in the log, with its share of headers; a guess that the next look replaces


class Admission:
    """Admits entries by the newest look at the storage (`reserve`). Until the first look, everything is admitted."""

    def __init__(self) -> None:
        self.reserve = Reserve()
        self._since = 0  # bytes appended here since that look

    def looked(self, reserve: Reserve) -> None:
        """The storage was looked at."""
        self.reserve = reserve
        self._since = 0

    def check(self, command: RoomInput, events: Sequence[RoomEvent]) -> None:
        """Raises Refused when the reserve is not for such an entry; otherwise counts its bytes.

        Who comes again in place of an own older seat is no newcomer: one joins and one leaves.
        """
        what = _what(command, events)
        if what is not None and not self._admits(what):
            REFUSED[what].inc()
            raise Refused(Code.UNAVAILABLE, _SENTENCES[what])
        self._since += EVENT_BYTES * len(events)

    def _admits(self, what: str) -> bool:
        reserve = self.reserve
        return reserve.admits_changes(self._since) if what == "change" else reserve.admits_newcomers(self._since)


_SENTENCES = {
    "join": "storage is nearly full, and nobody new is let in until there is space again; try again later",
    "create": "storage is nearly full, and no room is made until there is space again; try again later",
    "change": "storage is full but for a reserve, and nothing can be changed until there is space again; try again later",
}


def _what(command: RoomInput, events: Sequence[RoomEvent]) -> str | None:
    """What an entry asks of the storage: `join`, `create` or `change`. None for what the reserve is kept for."""
    types = [event.type for event in events]
    if types.count("participant_joined") > types.count("participant_left"):
        return "join"
    if "created" in types:
        return "create"
    return "change" if isinstance(command, UpdateParticipant | UpdateRoom) else None
