"""What can be refused or go wrong: one exception, with the protocol's codes and the client's own."""

from collections.abc import Mapping
from typing import Any

CLOSED = "closed"  # the session or the room is over
TIMEOUT = "timeout"  # nobody answered in time
QUEUE_FULL = "queue_full"  # more is waiting for an answer than may wait

UNAVAILABLE = "unavailable"
NOT_IN_ROOM = "not_in_room"
PARTICIPANT_NOT_FOUND = "participant_not_found"

RETRYABLE = frozenset({"rate_limited", "throttled", UNAVAILABLE, TIMEOUT, QUEUE_FULL})


class ParleyError(Exception):
    """A refusal: `code` is for machines and stable (docs/protocol.md, section 2), `message` is one sentence for people.

    The client's own codes are `closed` (the session or room is over), `timeout` and `queue_full`. `retryable` says
    whether the same may succeed if it is asked again later; `retry_after` is in seconds, or None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = code in RETRYABLE if retryable is None else retryable
        self.retry_after = retry_after
        self.details: dict[str, Any] = dict(details or {})

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "ParleyError":
        """The exception that an `error` or `auth_error` message stands for."""
        after = message.get("retryAfterMs")
        return cls(
            str(message.get("code", "internal")),
            str(message.get("message", "")),
            retryable=message.get("retryable"),
            retry_after=after / 1000 if isinstance(after, int | float) else None,
            details=message.get("details"),
        )


def closed() -> ParleyError:
    """What everything is answered after the end of a session."""
    return ParleyError(CLOSED, "the session is over", retryable=False)
