"""How often a participant may change what it says of itself: a token bucket that is read from the room's log. Pure.

The log names the operations of the last minute, with their times, and those of a session begin with its key. So the bucket
is the same in every replica, after a restart, on another gateway, and when the session leaves and joins again.
"""

from services.rooms.decision import Context
from shared.rooms.roster import Roster
from shared.values.ids import SessionKey


def seconds_until_change(roster: Roster, session: SessionKey | None, context: Context) -> float:
    """How long the session has to wait until it may change something in this room again; 0.0 when it may now.

    Nothing is known of the changes of a seat without a session.
    """
    if session is None:
        return 0.0
    rate, burst = context.rules.participant_change_rate, context.rules.participant_change_burst
    mine = f"{session}:"
    tokens, at = float(burst), 0.0
    for name, time in roster.operations.items():  # oldest first
        if name.startswith(mine):
            tokens = min(burst, tokens + max(0.0, time - at) * rate) - 1
            at = time
    tokens = min(burst, tokens + max(0.0, context.now - at) * rate)
    return max(0.0, 1 - tokens) / rate
