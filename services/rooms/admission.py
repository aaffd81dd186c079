"""What is still admitted when storage runs out: a pure rule over a decision, and the bytes stored since the last look."""

from collections.abc import Sequence

from services.rooms.decision import RoomInput
from shared.rooms.commands import AddParticipant, ResumeParticipant, UpdateParticipant, UpdateRoom
from shared.rooms.events import RoomEvent
from shared.rooms.reserve import Reserve
from shared.rooms.roster import Roster
from shared.telemetry import metrics
from shared.values.errors import Code, Refused

REFUSED = {what: metrics.RESERVE_REFUSED.labels(what) for what in ("join", "create", "change", "replace", "return")}

EVENT_BYTES = 1024  # of one event in the log, with its share of headers; a guess that the next look replaces

FREE_MOVES = 3  # of one seat to other connections; later ones must be apart when there is but the reserve
MOVE_SECONDS = 5.0  # between two later ones


class Admission:
    """Admits entries by the newest look at the storage (`reserve`). Until the first look, everything is admitted."""

    def __init__(self) -> None:
        self.reserve = Reserve()
        self._since = 0  # bytes appended here since that look

    def looked(self, reserve: Reserve) -> None:
        """The storage was looked at."""
        self.reserve = reserve
        self._since = 0

    def check(self, command: RoomInput, events: Sequence[RoomEvent], roster: Roster) -> None:
        """Raises Refused when the reserve is not for such an entry of the room `roster`; otherwise counts its bytes.

        Who comes again in place of an own older seat is no newcomer. But it can do so for ever, so this ends like changes.
        """
        what = _what(command, events, roster)
        if what is not None and not self._admits(what):
            REFUSED[what].inc()
            raise Refused(Code.UNAVAILABLE, _SENTENCES[what])
        self._since += EVENT_BYTES * len(events)

    def _admits(self, what: str) -> bool:
        newcomer = what in ("join", "create")
        return self.reserve.admits_newcomers(self._since) if newcomer else self.reserve.admits_changes(self._since)


_SENTENCES = {
    "join": "storage is nearly full, and nobody new is let in until there is space again; try again later",
    "create": "storage is nearly full, and no room is made until there is space again; try again later",
    "change": "storage is full but for a reserve, and nothing can be changed until there is space again; try again later",
    "replace": "storage is full but for a reserve, and no seat is taken anew until there is space again; try again later",
    "return": "storage is full but for a reserve, and this seat was taken back just now; try again in some seconds",
}


def _what(command: RoomInput, events: Sequence[RoomEvent], roster: Roster) -> str | None:
    """What an entry asks of the storage. None for what the reserve is kept for."""
    types = [event.type for event in events]
    if "participant_joined" in types:
        return "join" if types.count("participant_joined") > types.count("participant_left") else "replace"
    if "created" in types:
        return "create"
    if events and isinstance(command, AddParticipant | ResumeParticipant) and _comes_and_goes(command, roster):
        return "return"
    return "change" if isinstance(command, UpdateParticipant | UpdateRoom) else None


def _comes_and_goes(command: AddParticipant | ResumeParticipant, roster: Roster) -> bool:
    """Whether the session's seat has moved often, and just now. Each drop follows a move, so this bounds drops too.

    Both times are of gateways; a gateway of another release may not tell its own.
    """
    seat = roster.of_session(command.session)
    if seat is None or not command.since or seat.epoch <= FREE_MOVES:  # the first epoch is the join
        return False
    return command.since - seat.since < MOVE_SECONDS
