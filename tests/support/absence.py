"""Commands and timers for participants that lose their connection and come back, with defaults for the rest."""

import pytest

from services.rooms.decision import Decision, RoomInput, Rules
from shared.rooms.commands import DropParticipant, ResumeParticipant
from shared.rooms.model import RoomSettings
from shared.rooms.timers import GraceEnds
from shared.values.errors import Refused
from shared.values.ids import GatewayId, ParticipantId, SessionKey
from tests.support.orders import ROOM, LoggedRoom, caller, create, join

G1, G2 = GatewayId("g1"), GatewayId("g2")
GRACE = 30.0
RULES = Rules(grace_seconds=GRACE, empty_room_seconds=3600.0, closed_log_seconds=86400.0)


def drop(who: str, gateway: GatewayId = G1, epoch: int | None = 1, n: int = 1) -> DropParticipant:
    """A gateway's command that the connection of an agent's nth participant is gone."""
    return DropParticipant(room_id=ROOM, session=SessionKey(f"s_{who}_{n}"), gateway=gateway, epoch=epoch)


def resume(
    who: str, gateway: GatewayId = G2, operation: str = "r1", deadline: float | None = None, n: int = 1
) -> ResumeParticipant:
    """A command that resumes an agent's nth participant at another gateway."""
    return ResumeParticipant(
        caller=caller(who),
        room_id=ROOM,
        operation=operation,
        session=SessionKey(f"s_{who}_{n}"),
        gateway=gateway,
        deadline=deadline,
    )


def grace(who: str, due: float, epoch: int = 1) -> GraceEnds:
    """The grace timer of an agent's first participant."""
    return GraceEnds(due=due, room_id=ROOM, participant_id=ParticipantId(f"p_{who}_1"), epoch=epoch)


def room_of(*names: str, settings: RoomSettings | None = None, rules: Rules = RULES) -> LoggedRoom:
    """A room with these participants, all at gateway g1."""
    made = create(settings=settings or RoomSettings())
    return LoggedRoom(made, *(join(name) for name in names), rules=rules)


def refusal(room: LoggedRoom, command: RoomInput) -> Refused:
    """The refusal of a command."""
    with pytest.raises(Refused) as caught:
        room.do(command)
    return caught.value


def nothing(decision: Decision) -> bool:
    """Whether a decision changes nothing and arms nothing."""
    return not decision.events and not decision.timers
