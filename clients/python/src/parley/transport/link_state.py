"""The life of a link: its states, what can happen, and what is done then. Pure: a table, which `link` executes.

tests/vectors/link.json holds this table and that of the JavaScript SDK to the same cases. The *present* connection is
the one that has the session; the *next* one is on its way to have it.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a link is. In those that begin with `moving`, and while `resuming`, the present connection still works."""

    IDLE = "idle"
    WAITING = "waiting"  # for the time of the next attempt
    DIALLING = "dialling"  # a token is asked for
    ENTERING = "entering"  # the next connection is being made, and authenticated
    CONNECTED = "connected"
    MOVING_WAITING = "moving_waiting"
    MOVING_DIALLING = "moving_dialling"
    MOVING_ENTERING = "moving_entering"
    RESUMING = "resuming"  # the next connection has asked for the session; what the present one says is held
    HANDED_OVER = "handed_over"  # the present one was closed, since the next one has the session
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen."""

    DIAL = "dial"
    CLOSE = "close"  # the program wants no more
    TIMER = "timer"
    TOKEN = "token"
    NO_TOKEN = "no_token"
    TOKEN_REFUSED = "token_refused"
    OPENED = "opened"  # the next connection stands
    ENTERED = "entered"  # it has the session
    REFUSED = "refused"  # it was refused, or could not be made; another time it may go well
    STALE = "stale"  # its token has ended
    REFUSED_FOR_GOOD = "refused_for_good"
    GO_AWAY = "go_away"  # the present one's gateway asks to move
    LOST = "lost"  # the present one ended
    RESTARTED = "restarted"  # it ended, since its gateway shut down
    REPLACED = "replaced"  # it ended, since another connection has the session
    LOST_FOR_GOOD = "lost_for_good"  # it ended, and coming back is pointless


class Action(StrEnum):
    """What is done."""

    GET_TOKEN = "get_token"
    SPOIL_TOKEN = "spoil_token"
    OPEN = "open"  # make the next connection
    AUTHENTICATE = "authenticate"  # by the next connection; from here on it resumes, if there is a session
    ENTER = "enter"  # the next connection is the present one
    RETRY = "retry"  # set the timer for another attempt
    MOVE_LATER = "move_later"  # set the timer to the time that the gateway said
    REPORT = "report"  # say that an attempt failed
    LOST = "lost"  # say that there is no connection
    RELEASE = "release"  # hand over what was held: the present connection goes on
    DISCARD = "discard"  # drop what was held: it comes again by the next connection
    CLOSE = "close"  # end everything
    END = "end"  # end everything, and say so


S, E, A = State, Event, Action
Transitions = dict[tuple[State, Event], tuple[State, tuple[Action, ...]]]

# The same in every state in which the present connection is all there is, or the next one has not asked for the session.
BROKEN = (E.LOST, E.RESTARTED)
ENDED = (E.LOST_FOR_GOOD, E.REPLACED)

TRANSITIONS: Transitions = {
    (S.IDLE, E.DIAL): (S.DIALLING, (A.GET_TOKEN,)),
    (S.WAITING, E.TIMER): (S.DIALLING, (A.GET_TOKEN,)),
    (S.DIALLING, E.TOKEN): (S.ENTERING, (A.OPEN,)),
    (S.DIALLING, E.NO_TOKEN): (S.WAITING, (A.REPORT, A.RETRY)),
    (S.DIALLING, E.TOKEN_REFUSED): (S.CLOSED, (A.END,)),
    (S.ENTERING, E.OPENED): (S.ENTERING, (A.AUTHENTICATE,)),
    (S.ENTERING, E.ENTERED): (S.CONNECTED, (A.ENTER,)),
    (S.ENTERING, E.REFUSED): (S.WAITING, (A.REPORT, A.RETRY)),
    (S.ENTERING, E.STALE): (S.WAITING, (A.SPOIL_TOKEN, A.REPORT, A.RETRY)),
    (S.ENTERING, E.REFUSED_FOR_GOOD): (S.CLOSED, (A.END,)),
    # The gateway asks to move: the present connection is good until the next one has the session.
    (S.CONNECTED, E.GO_AWAY): (S.MOVING_WAITING, (A.MOVE_LATER,)),
    (S.MOVING_WAITING, E.GO_AWAY): (S.MOVING_WAITING, (A.MOVE_LATER,)),
    (S.MOVING_WAITING, E.TIMER): (S.MOVING_DIALLING, (A.GET_TOKEN,)),
    (S.MOVING_DIALLING, E.TOKEN): (S.MOVING_ENTERING, (A.OPEN,)),
    (S.MOVING_DIALLING, E.NO_TOKEN): (S.MOVING_WAITING, (A.REPORT, A.RETRY)),
    (S.MOVING_DIALLING, E.TOKEN_REFUSED): (S.MOVING_WAITING, (A.REPORT, A.RETRY)),
    (S.MOVING_ENTERING, E.OPENED): (S.RESUMING, (A.AUTHENTICATE,)),
    (S.MOVING_ENTERING, E.REFUSED): (S.MOVING_WAITING, (A.REPORT, A.RETRY)),
    (S.MOVING_ENTERING, E.STALE): (S.MOVING_WAITING, (A.SPOIL_TOKEN, A.REPORT, A.RETRY)),
    (S.MOVING_ENTERING, E.REFUSED_FOR_GOOD): (S.CLOSED, (A.END,)),
    (S.RESUMING, E.ENTERED): (S.CONNECTED, (A.DISCARD, A.ENTER)),
    (S.RESUMING, E.REFUSED): (S.MOVING_WAITING, (A.RELEASE, A.REPORT, A.RETRY)),
    (S.RESUMING, E.STALE): (S.MOVING_WAITING, (A.RELEASE, A.SPOIL_TOKEN, A.REPORT, A.RETRY)),
    (S.RESUMING, E.REFUSED_FOR_GOOD): (S.CLOSED, (A.RELEASE, A.END)),
    # A gateway closes the present connection as soon as the next one has the session: that may be heard first.
    (S.RESUMING, E.RESTARTED): (S.HANDED_OVER, (A.DISCARD,)),
    (S.RESUMING, E.REPLACED): (S.HANDED_OVER, (A.DISCARD,)),
    (S.RESUMING, E.LOST): (S.ENTERING, (A.DISCARD, A.LOST)),
    (S.RESUMING, E.LOST_FOR_GOOD): (S.CLOSED, (A.END,)),
    (S.HANDED_OVER, E.ENTERED): (S.CONNECTED, (A.ENTER,)),
    (S.HANDED_OVER, E.REFUSED): (S.WAITING, (A.LOST, A.REPORT, A.RETRY)),
    (S.HANDED_OVER, E.STALE): (S.WAITING, (A.LOST, A.SPOIL_TOKEN, A.REPORT, A.RETRY)),
    (S.HANDED_OVER, E.REFUSED_FOR_GOOD): (S.CLOSED, (A.LOST, A.END)),
    # The present connection ends. An attempt that is under way goes on.
    **{(state, event): (S.WAITING, (A.LOST, A.RETRY)) for state in (S.CONNECTED, S.MOVING_WAITING) for event in BROKEN},
    **{(S.MOVING_DIALLING, event): (S.DIALLING, (A.LOST,)) for event in BROKEN},
    **{(S.MOVING_ENTERING, event): (S.ENTERING, (A.LOST,)) for event in BROKEN},
    **{
        (state, event): (S.CLOSED, (A.END,))
        for state in (S.CONNECTED, S.MOVING_WAITING, S.MOVING_DIALLING, S.MOVING_ENTERING)
        for event in ENDED
    },
    **{(state, E.CLOSE): (S.CLOSED, (A.CLOSE,)) for state in State if state is not S.CLOSED},
}

FOR_GOOD = frozenset({1003, 1007, 1009})  # the same would happen again
SERVICE_RESTART, REPLACED = 1012, 4504


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """The next state and what is done, in order. What is not in the table changes nothing and does nothing."""
    return TRANSITIONS.get((state, event), (state, ()))


def is_final(code: int) -> bool:
    """Whether this close code means: do not come back (docs/protocol.md, section 2)."""
    return 4500 <= code <= 4999 or code in FOR_GOOD


def loss_of(code: int) -> Event:
    """What it means that the present connection was closed with this code."""
    if code == REPLACED:
        return Event.REPLACED
    if code == SERVICE_RESTART:
        return Event.RESTARTED
    return Event.LOST_FOR_GOOD if is_final(code) else Event.LOST
