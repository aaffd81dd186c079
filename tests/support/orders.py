"""Commands to rooms with defaults for what a test does not care about, and a room that is only its log."""

from typing import Any

from services.rooms.decision import Context, Decision, RoomInput, Rules
from services.rooms.rules import decide
from shared.broker import headers
from shared.rooms.commands import (
    AddParticipant,
    Caller,
    CloseRoom,
    CreateRoom,
    RemoveParticipant,
    UpdateParticipant,
    UpdateRoom,
)
from shared.rooms.events import decode, encode
from shared.rooms.grant import Grant
from shared.rooms.roster import Entry, Roster, Seat
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey
from shared.values.position import Position
from tests.support.invariants import check_entries

ROOM = RoomId("voice-1")
NOW = 1_770_804_000.0


def caller(agent_id: str, *permissions: str, **fields: Any) -> Caller:
    """An agent; without permissions it has what a token without the claim has."""
    allowed = frozenset(permissions or ("rooms:create", "rooms:join"))
    return Caller(**{"agent_id": AgentId(agent_id), "name": agent_id.title(), "permissions": allowed, **fields})


OWNER = caller("owner")


def create(room_id: str = ROOM, by: Caller = OWNER, **fields: Any) -> CreateRoom:
    """Make a room with ten seats."""
    given = {"operation": f"create-{room_id}", "name": "Voice", "type": "voice", **fields}
    return CreateRoom(caller=by, room_id=RoomId(room_id), **given)


def join(who: str | Caller, room_id: str = ROOM, **fields: Any) -> AddParticipant:
    """Join as an agent with one device; `n` tells its joins apart."""
    by = caller(who) if isinstance(who, str) else who
    n = fields.pop("n", 1)
    given: dict[str, Any] = {
        "participant_id": ParticipantId(f"p_{by.agent_id}_{n}"),
        "session": SessionKey(f"s_{by.agent_id}_{n}"),
        "gateway": GatewayId("g1"),
        "device_id": f"{by.agent_id}-laptop",
        **fields,
    }
    return AddParticipant(caller=by, room_id=RoomId(room_id), **given)


def leave(participant_id: str, room_id: str = ROOM, **fields: Any) -> RemoveParticipant:
    """Give a seat up, as the gateway that has it."""
    return RemoveParticipant(
        room_id=RoomId(room_id), participant_id=ParticipantId(participant_id), **{"epoch": 1, **fields}
    )


def update(participant_id: str, operation: str = "u1", **fields: Any) -> UpdateParticipant:
    """Change a participant's name, media or metadata."""
    who = ParticipantId(participant_id)
    return UpdateParticipant(room_id=ROOM, participant_id=who, operation=operation, **{"epoch": 1, **fields})


def update_room(by: Caller = OWNER, operation: str = "r1", **fields: Any) -> UpdateRoom:
    """Change the room's properties."""
    return UpdateRoom(caller=by, operation=operation, room_id=ROOM, **fields)


def close(by: Caller = OWNER, room_id: str = ROOM, operation: str = "c1") -> CloseRoom:
    """Close the room."""
    return CloseRoom(caller=by, operation=operation, room_id=RoomId(room_id))


def grant(agent_id: str, key: str = "k1", **fields: Any) -> Grant:
    """The grant that auth reads from a join token."""
    given = {"room_id": ROOM, "key": key, "until": int(NOW) + 60, **fields}
    return Grant(agent_id=AgentId(agent_id), **given)


class LoggedRoom:
    """One room, its whole log in memory, decided by the real rules; every change is written and read back."""

    def __init__(self, *commands: RoomInput, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.now = NOW
        self.log: list[Entry] = []
        self.fold = Roster(ROOM, "test")
        for command in commands:
            self.do(command)

    def do(self, command: RoomInput) -> Decision:
        """Decide and append. Raises Refused. The promises of the log are checked after every change."""
        decision = decide(self.fold, command, Context(self.now, self.rules))
        if decision.events:
            stamp = headers.stamp(headers.of_stamp(decision.stamp))
            entry = Entry(Position(len(self.log) + 1), decode(encode(decision.events)), stamp)
            assert list(entry.events) == decision.events, "an event does not survive being written and read"
            self.log.append(entry)
            self.fold.apply(entry)
            check_entries(ROOM, self.log)
        return decision

    def seat(self, participant_id: str) -> Seat:
        """The seat of a participant that is in."""
        return self.fold.seats[ParticipantId(participant_id)]


def told(decision: Decision) -> list[tuple[str, str | None, str | None]]:
    """What happened, in order: type, participant, reason."""
    return [
        (event.type, event.change.participant.id if event.change.participant else None, event.change.reason)
        for event in decision.events
    ]
