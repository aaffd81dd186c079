"""Whether NATS refuses what is to be stored, and why: each episode is said once, and its end once. Counts nothing."""

import structlog

log = structlog.get_logger()


class Refusals:
    """The episodes of one process, by the kind of what is stored: the second token of its subject (`log`, `timer`)."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    @property
    def why(self) -> str | None:
        """NATS' own words, of any kind that is refused now; None while everything is stored."""
        return next(iter(self._why.values()), None)

    def refused(self, subject: str, why: str) -> None:
        """NATS did not store this, and said why."""
        kind = _kind(subject)
        if self._why.get(kind) != why:
            self._why[kind] = why
            log.error("NATS refuses to store", what=kind, why=why)

    def stored(self, subject: str) -> None:
        """NATS stored this."""
        if self._why and self._why.pop(_kind(subject), None) is not None:
            log.info("NATS stores again", what=_kind(subject))


def _kind(subject: str) -> str:
    return subject.split(".")[1]
