"""Whether NATS refuses what is to be stored, and why: each episode is said once, and its end once. Counts nothing."""

import structlog

log = structlog.get_logger()

QUIET_SECONDS = (
    10.0  # without a refusal, until an episode is over: a full log takes small entries and refuses large ones
)


class Refusals:
    """The episodes of one process, by the kind of what is stored: the second token of its subject (`log`, `timer`).

    `now` is in seconds of the loop's clock.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}  # why, and when it was refused last

    @property
    def why(self) -> str | None:
        """NATS' own words, of any kind that is refused now; None while everything is stored."""
        return next((why for why, _ in self._open.values()), None)

    def refused(self, subject: str, why: str, now: float) -> None:
        """NATS did not store this, and said why."""
        kind = _kind(subject)
        before, _ = self._open.get(kind, ("", now))
        self._open[kind] = why, now
        if before != why:
            log.error("NATS refuses to store", what=kind, why=why)

    def stored(self, subject: str, now: float) -> None:
        """NATS stored this."""
        kind = _kind(subject)
        if kind in self._open and now - self._open[kind][1] >= QUIET_SECONDS:
            del self._open[kind]
            log.info("NATS stores again", what=kind)

    @property
    def any(self) -> bool:
        """Whether an episode is open: most of the time there is none, and nobody need look at the clock."""
        return bool(self._open)


def _kind(subject: str) -> str:
    return subject.split(".")[1]
