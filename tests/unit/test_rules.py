"""The tables of rooms: every command leads to a rule, every endpoint to an answer, and metrics keep their labels."""

from dataclasses import dataclass
from typing import get_args

import pytest

from services.rooms import rules
from services.rooms.decision import Context, Decision, Rule, Rules
from services.rooms.handlers import ANSWERED
from services.rooms.rules import RULES, decide
from shared.broker import subjects
from shared.broker.memory.stream import matches
from shared.broker.subjects import Endpoint
from shared.rooms.commands import Command
from shared.rooms.events import Stamp
from shared.rooms.roster import Roster
from shared.rooms.timers import GraceEnds, LeaseEnds, LogKept, RoomEmpty, RoomEnds, Sweep, Timer
from shared.values.ids import GatewayId, ParticipantId, RoomId
from tests.support.orders import NOW, ROOM

ABOUT_ROOMS = {
    endpoint
    for endpoint in vars(subjects).values()
    if isinstance(endpoint, Endpoint) and endpoint.name.startswith("rooms.")
}


def test_every_endpoint_has_an_answer() -> None:
    """What gateways may ask of rooms is in the table once; the list of rooms, the reserve and changes made together are not."""
    assert [row.endpoint.name for row in ANSWERED] == [*{row.endpoint.name: 0 for row in ANSWERED}]
    others = {subjects.LIST_ROOMS, subjects.READ_RESERVE, subjects.UPDATE_PARTICIPANT}
    assert {row.endpoint for row in ANSWERED} == ABOUT_ROOMS - others


def test_every_command_has_a_rule() -> None:
    """An endpoint that changes a room leads to a rule, and one that only reads it to none; so does every timer of a room."""
    asked = {row.endpoint.request for row in ANSWERED if row.changes}
    assert all(issubclass(command, Command) for command in asked)
    assert not any(issubclass(row.endpoint.request, Command) for row in ANSWERED if not row.changes)
    timers = {kind for kind in get_args(Timer) if kind not in (LeaseEnds, Sweep, LogKept)}
    assert asked | timers < set(RULES)


def test_labels_of_metrics_are_those_of_0_3_0() -> None:
    """`parley_append_attempts{command=…}` is an interface: dashboards find a command under the name it always had."""
    assert {rule.label for rule in RULES.values()} == {
        "CreateRoom",
        "JoinRoom",
        "ResumeParticipant",
        "DropParticipant",
        "LeaveRoom",
        "UpdateParticipant",
        "UpdateRoom",
        "CloseRoom",
        "GatewayLost",
        "GraceEnds",
        "RoomEnds",
        "RoomEmpty",
        "ClocksLost",  # of 0.5.0
    }


@dataclass(frozen=True)
class KnockOnDoor:
    """A command of a feature that does not exist."""

    room_id: RoomId


def knock(_roster: Roster, command: KnockOnDoor, context: Context) -> Decision:
    """Its rule."""
    return Decision(Stamp(f"{command.room_id} {context.now}"))


def test_a_feature_brings_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row in the table is all that a new command takes; one without a row is a bug, not a refusal."""
    context = Context(NOW, Rules())
    with pytest.raises(KeyError):
        decide(Roster(ROOM, "test"), KnockOnDoor(ROOM), context)
    monkeypatch.setitem(rules.RULES, KnockOnDoor, Rule(KnockOnDoor, knock, "KnockOnDoor"))
    assert decide(Roster(ROOM, "test"), KnockOnDoor(ROOM), context).stamp.operation == f"{ROOM} {NOW}"


@pytest.mark.parametrize(
    "timer",
    [
        LeaseEnds(due=1.0, gateway=GatewayId("g_1")),
        Sweep(due=1.0, gateway=GatewayId("g_1")),
        GraceEnds(due=1.0, room_id=RoomId("a"), participant_id=ParticipantId("p_1"), epoch=1),
        RoomEnds(due=1.0, room_id=RoomId("a")),
        RoomEmpty(due=1.0, room_id=RoomId("a")),
        LogKept(due=1.0, room_id=RoomId("a")),
    ],
    ids=lambda timer: timer.kind,
)
def test_rooms_takes_every_kind_of_timer(timer: Timer) -> None:
    """Whatever its name is made of: one that no filter of the consumer matches would wait for ever."""
    assert sum(matches(one, subjects.due(timer)) for one in subjects.DUE_TIMERS) == 1
