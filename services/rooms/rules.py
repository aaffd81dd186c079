"""Every rule of a room in one table, and `decide`, which applies them: a room's state and a command in, events out.

A feature adds its own rows. Nothing else in rooms lists the types of commands. No I/O, no clock.
"""

from typing import Any

from services.rooms import deadlines, profile, room, seats, topology
from services.rooms.decision import Context, Decision, RoomInput, Rule
from shared.rooms.commands import Command
from shared.rooms.roster import Roster
from shared.values.errors import Code, Refused

RULES: dict[type, Rule[Any]] = {
    rule.command: rule for rule in (*room.RULES, *seats.RULES, *profile.RULES, *deadlines.RULES)
}
CONSEQUENCES = (deadlines.clocks, topology.advise)  # in this order, so that the advice's event starts no timer


def rule_of(command: RoomInput) -> Rule[Any]:
    """The rule of a command."""
    return RULES[type(command)]


def decide(roster: Roster, command: RoomInput, context: Context) -> Decision:
    """What a command does to a room, with its timers and the topology's advice. Raises Refused."""
    decision = rule_of(command).decide(roster, command, context)
    deadline = command.deadline if isinstance(command, Command) else None
    if decision.events and deadline is not None and context.now > deadline:
        raise Refused(Code.UNAVAILABLE, "the request came too late; try again")
    for follow in CONSEQUENCES:
        follow(roster, decision, context)
    return decision
