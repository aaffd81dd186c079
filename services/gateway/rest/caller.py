"""Who sends a REST request: the bearer token, judged by auth, and how many requests its agent may make."""

import math
from collections.abc import Callable

from starlette.requests import Request

from services.gateway.caller import caller_of
from services.gateway.handshake import source_address
from services.gateway.limits import Buckets
from services.gateway.logins import FailedLogins
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from shared.commands import Caller, Validate
from shared.errors import Code, Refused
from shared.subjects import VALIDATE

TOKEN_CHARACTERS = 8 * 1024
BURST = 4  # seconds' worth of requests at once


class Callers:
    """Identifies callers. `clock` is in seconds and only goes forward."""

    def __init__(self, bus: Bus, settings: GatewaySettings, failed: FailedLogins, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._proxies = settings.trusted_proxies
        self._clock = clock
        self._failed = failed
        self._agents = Buckets(settings.rest_rate, settings.rest_rate * BURST)

    async def identify(self, request: Request) -> Caller:
        """The agent of the bearer token. Raises Refused: no or no good token, too many requests, auth unavailable."""
        token = bearer_token(request)
        source = self._source(request)
        self._failed.check(source)
        try:
            identity = await self._bus.request(VALIDATE, Validate(token=token))
        except Refused as refused:
            self._failed.count(source, refused)
            raise
        wait = self._agents.of(identity.agent_id).take(self._clock())
        if wait > 0:
            sentence = "too many requests; try again later"
            raise Refused(Code.RATE_LIMITED, sentence, retry_after_ms=math.ceil(wait * 1000))
        return caller_of(identity)

    def _source(self, request: Request) -> str:
        peer = request.client.host if request.client else ""
        return source_address(peer, ",".join(request.headers.getlist("x-forwarded-for")), self._proxies)


def bearer_token(request: Request) -> str:
    """The token of `Authorization: Bearer` (RFC 6750). Raises Refused, before anybody else is asked."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].strip().partition(" ") if len(values) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(Code.NOT_AUTHENTICATED, "send an agent-link token as `Authorization: Bearer`")
    if len(token) > TOKEN_CHARACTERS:
        raise Refused(Code.INVALID_TOKEN, f"the token is longer than {TOKEN_CHARACTERS} characters")
    return token
