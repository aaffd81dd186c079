"""Refusals: the stable codes, their HTTP status, and the WebSocket close codes.

A refusal is `Refused(code, sentence)`. Any other exception is a bug; clients see only `internal`.
"""

from enum import IntEnum, StrEnum
from typing import Any


class Code(StrEnum):
    """Error codes of the protocol (docs/protocol.md, section 2). Stable: clients branch on them."""

    BAD_MESSAGE = "bad_message"
    NOT_AUTHENTICATED = "not_authenticated"
    FORBIDDEN = "forbidden"
    ROOM_NOT_FOUND = "room_not_found"
    ROOM_FULL = "room_full"
    ROOM_LOCKED = "room_locked"
    ROOM_CLOSED = "room_closed"
    ROOM_EXISTS = "room_exists"
    NOT_IN_ROOM = "not_in_room"
    PARTICIPANT_NOT_FOUND = "participant_not_found"
    INVALID_SDP = "invalid_sdp"
    INVALID_CANDIDATE = "invalid_candidate"
    BAD_STATE = "bad_state"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    # Why a token is not accepted (section 3). They travel in `auth_error` and as HTTP 401.
    INVALID_TOKEN = "invalid_token"
    EXPIRED_TOKEN = "expired_token"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_ISSUER = "wrong_issuer"
    REVOKED_TOKEN = "revoked_token"
    SUBJECT_MISMATCH = "subject_mismatch"
    THROTTLED = "throttled"


TOKEN_CODES = frozenset(
    {
        Code.INVALID_TOKEN,
        Code.EXPIRED_TOKEN,
        Code.NOT_YET_VALID,
        Code.WRONG_AUDIENCE,
        Code.WRONG_ISSUER,
        Code.REVOKED_TOKEN,
        Code.SUBJECT_MISMATCH,
        Code.THROTTLED,
    }
)

RETRYABLE = frozenset({Code.RATE_LIMITED, Code.UNAVAILABLE, Code.THROTTLED})

HTTP_STATUS: dict[Code, int] = {
    Code.BAD_MESSAGE: 422,
    Code.NOT_AUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.ROOM_NOT_FOUND: 404,
    Code.PARTICIPANT_NOT_FOUND: 404,
    Code.NOT_IN_ROOM: 409,
    Code.ROOM_FULL: 409,
    Code.ROOM_LOCKED: 409,
    Code.ROOM_EXISTS: 409,
    Code.BAD_STATE: 409,
    Code.ROOM_CLOSED: 410,
    Code.TOO_LARGE: 413,
    Code.INVALID_SDP: 422,
    Code.INVALID_CANDIDATE: 422,
    Code.RATE_LIMITED: 429,
    Code.THROTTLED: 429,
    Code.UNAVAILABLE: 503,
    Code.INTERNAL: 500,
} | {code: 401 for code in TOKEN_CODES if code is not Code.THROTTLED}


class CloseCode(IntEnum):
    """WebSocket close codes: 4000-4499 mean come back (and resume), 4500-4999 mean do not."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    SLOW_CONSUMER = 4000
    NO_PONG = 4001
    UNAVAILABLE = 4002
    BAD_CLIENT = 4500
    UNAUTHENTICATED = 4501
    TOKEN_EXPIRED = 4502
    REVOKED = 4503
    REPLACED = 4504
    RATE_LIMITED = 4505


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """A request is refused, for a reason that its sender may know.

    `message` is one sentence for people, and never repeats tokens, SDP or candidates. `details` is JSON for machines.
    `retry_after_ms` is in milliseconds, only with `rate_limited` and `throttled`. `cause` is for our own services: it
    goes from one to the other with the refusal, and clients do not see it.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.retry_after_ms = retry_after_ms
        self.cause = cause

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed when it is sent again later."""
        return self.code in RETRYABLE

    @property
    def http_status(self) -> int:
        """Status for REST (RFC 9110)."""
        return HTTP_STATUS[self.code]


def unavailable(what: str) -> Refused:
    """The refusal when a service or the broker cannot answer now. Nothing is half done, and asking again is safe."""
    return Refused(Code.UNAVAILABLE, f"{what} cannot answer now; try again")


def internal_error() -> Refused:
    """The refusal that clients see when there is a bug."""
    return Refused(Code.INTERNAL, "something went wrong here; it has been recorded")
