"""Every rule of a room in one table, and the one way that leads to them: the room's state and a command in, events out.

A feature brings rows of its own; nothing else here knows what kinds of commands there are. No I/O, no clock.
"""

from typing import Any

from services.rooms import deadlines, room, seats, topology
from services.rooms.decision import Context, Decision, RoomInput, Rule
from shared.rooms.commands import Command
from shared.rooms.roster import Roster
from shared.values.errors import Code, Refused

RULES: dict[type, Rule[Any]] = {rule.command: rule for rule in (*room.RULES, *seats.RULES, *deadlines.RULES)}
CONSEQUENCES = (deadlines.clocks, topology.advise)  # in this order: no clock starts by an advice


def rule_of(command: RoomInput) -> Rule[Any]:
    """The row of a command."""
    return RULES[type(command)]


def decide(roster: Roster, command: RoomInput, context: Context) -> Decision:
    """What a command does to a room, with all that follows from it. Raises Refused."""
    decision = rule_of(command).decide(roster, command, context)
    deadline = command.deadline if isinstance(command, Command) else None
    if decision.events and deadline is not None and context.now > deadline:
        raise Refused(Code.UNAVAILABLE, "the request came too late; try again")
    for follow in CONSEQUENCES:
        follow(roster, decision, context)
    return decision
