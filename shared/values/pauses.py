"""How long to wait before something is tried again: one name for each kind of trying. Seconds. Pure."""

from collections.abc import Sequence

# A read may lag what is known to be stored by this much in all; then it counts as not there.
LAGGING_READ = (0.002, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
# Between attempts to fill a replica's gap from the log; after as many in vain the room's snapshot is asked for instead.
GAP_REPAIR = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.5, 1.0)
# Between attempts to say that somebody left, while the broker or rooms cannot answer.
DEPARTURE = (0.1, 0.5, 1.0, 2.0, 5.0)
# Before the broker, which could not be asked, is asked again: for streams, timers, a lease.
BROKER = 0.25
# Before the list of rooms is read anew, after that failed.
DIRECTORY = 1.0
# Auth is left alone for so long after it could not say which ICE servers there are.
ICE_SERVERS = 1.0
# Before a due timer whose process died, or raised, is handed to another one.
TIMER = 5.0
# Before an issuer's key document, which could not be had, is asked for again.
KEY_DOCUMENT = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
# Before a process of `make run` that ended by itself is started again.
RESTART = (0.5, 1.0, 2.0, 4.0, 8.0)


def before(attempt: int, pauses: Sequence[float]) -> float:
    """The pause before an attempt, the first being 0; the last pause repeats."""
    return pauses[min(attempt, len(pauses) - 1)]
