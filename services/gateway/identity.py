"""The identity of a session and when it ends, and a limit of refused tokens for each address."""

import math
from collections.abc import Callable
from enum import Enum

from services.gateway.token_bucket import Buckets
from shared.auth.commands import Identity, OpenSession
from shared.broker.requests import Requests
from shared.broker.subjects import OPEN_SESSION
from shared.values import moment
from shared.values.address import network_of
from shared.values.errors import TOKEN_CODES, Code, Refused
from shared.values.ids import SessionId

EXPIRY_NOTICE_SECONDS = 60.0


class FailedLogins:
    """Counts refused tokens by source address (address.py), for the WebSocket and REST alike: guessing gets `throttled`."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._buckets = Buckets(per_minute / 60, per_minute)
        self._clock = clock

    def check(self, address: str) -> None:
        """Raises Refused with `throttled` while this address has had too many refused tokens."""
        bucket = self._buckets.of(network_of(address))
        if bucket.level(self._clock()) < 1:
            sentence = "too many refused tokens from this address; try again later"
            raise Refused(Code.THROTTLED, sentence, retry_after_ms=math.ceil(1000 / bucket.rate))

    def count(self, address: str, refused: Refused) -> None:
        """Count a refused login, if its token was the reason. Other refusals are not the client's fault."""
        if refused.code in TOKEN_CODES:
            self._buckets.of(network_of(address)).take(self._clock())


class Due(Enum):
    """What a session has to do about the end of its token."""

    NOTHING = "nothing"
    NOTICE = "notice"  # tell the client that its token is about to end
    END = "end"


class Login:
    """The agent behind a session. `clock` gives Unix seconds."""

    def __init__(self, requests: Requests, failed: FailedLogins, clock: Callable[[], float]) -> None:
        self.identity: Identity | None = None
        self.session_id = SessionId("")
        self._requests = requests
        self._failed = failed
        self._clock = clock
        self._good_until = 0.0
        self._notice_at = math.inf

    @property
    def agent(self) -> Identity:
        """The session's identity. Raises Refused before the client has authenticated."""
        if self.identity is None:
            raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
        return self.identity

    async def open(self, token: str, address: str, session_id: SessionId, resume: str | None) -> str:
        """Open a session with this id, or the session that a good resume token names. Returns its resume token.

        Raises Refused.
        """
        return await self._ask(OpenSession(token=token, session_id=session_id, resume=resume), address)

    async def renew(self, token: str, address: str) -> str:
        """Go on with another token of the same agent. Returns the new resume token. Raises Refused."""
        subject = self.agent.agent_id
        return await self._ask(OpenSession(token=token, session_id=self.session_id, subject=subject), address)

    async def _ask(self, request: OpenSession, address: str) -> str:
        self._failed.check(address)
        try:
            opened = await self._requests.request(OPEN_SESSION, request)
        except Refused as refused:
            self._failed.count(address, refused)
            raise
        self.identity = opened.identity
        self.session_id = opened.session_id
        self._good_until = opened.good_until
        end = moment.unix(opened.identity.expires_at)
        self._notice_at = end - min(EXPIRY_NOTICE_SECONDS, (end - self._clock()) / 2)
        return opened.resume_token

    def due(self, now: float) -> Due:
        """What to do at `now` (Unix seconds). NOTICE comes once for each token."""
        if self.identity is None:
            return Due.NOTHING
        if now >= self._good_until:
            return Due.END
        if now >= self._notice_at:
            self._notice_at = math.inf
            return Due.NOTICE
        return Due.NOTHING
