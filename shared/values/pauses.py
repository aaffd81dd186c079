"""How long to wait before something is tried again, in seconds: one name for each kind of retry. Pure."""

from collections.abc import Sequence

# Between reads that lag what is known to be stored. After the last one it counts as missing.
LAGGING_READ = (0.002, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
# Between attempts to fill a replica's gap from the log. After as many in vain, the gateway asks for a snapshot instead.
GAP_REPAIR = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.5, 1.0)
# Between attempts to tell rooms that a participant left, while the broker or rooms cannot answer.
DEPARTURE = (0.1, 0.5, 1.0, 2.0, 5.0)
# Before asking the broker again for streams, timers or a lease, after it did not answer.
BROKER = 0.25
# Between looks at the broker's storage.
STORAGE = 1.0
# Before the list of rooms is read again, after that failed.
DIRECTORY = 1.0
# Before auth is asked for ICE servers again, after that failed.
ICE_SERVERS = 1.0
# Before the broker hands a due timer out again, when the process that took it died or raised.
TIMER = 5.0
# Before an issuer's key document is asked for again, after that failed.
KEY_DOCUMENT = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
# Before a process of `make run` that ended by itself is started again.
RESTART = (0.5, 1.0, 2.0, 4.0, 8.0)


# The longest before a timer that failed again and again comes again.
SLOWEST = 60.0


def doubled(seconds: float, times: int) -> float:
    """The pause after so many failures: `seconds` after the first, then twice as long each time, up to a minute."""
    for _ in range(times - 1):
        if seconds >= SLOWEST:
            break
        seconds = min(seconds * 2, SLOWEST)
    return seconds


def before(attempt: int, pauses: Sequence[float]) -> float:
    """The pause before attempt number `attempt`, counted from 0. The last pause repeats."""
    return pauses[min(attempt, len(pauses) - 1)]
