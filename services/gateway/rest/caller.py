"""Who sends a REST request: the bearer token, judged by auth, and how many requests its agent may make."""

import math
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from services.gateway.handshake import source_address
from services.gateway.limits import Bucket
from services.gateway.settings import GatewaySettings
from shared.bus import Bus
from shared.commands import Caller, Validate
from shared.errors import TOKEN_CODES, Code, Refused
from shared.subjects import VALIDATE

TOKEN_CHARACTERS = 8 * 1024
REMEMBERED = 10_000  # agents and addresses; whoever is forgotten starts with a full bucket
BURST = 4  # seconds' worth of requests at once


class _Buckets:
    """A bucket per name; the one not used for longest is forgotten when there are too many."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, name: str) -> Bucket:
        bucket = self._buckets.setdefault(name, Bucket(self._rate, self._burst))
        self._buckets.move_to_end(name)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket


class Callers:
    """Identifies callers. `clock` is in seconds and only goes forward."""

    def __init__(self, bus: Bus, settings: GatewaySettings, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._proxies = settings.trusted_proxies
        self._clock = clock
        self._agents = _Buckets(settings.rest_rate, settings.rest_rate * BURST)
        self._failures = _Buckets(settings.failed_logins / 60, settings.failed_logins)

    async def identify(self, request: Request) -> Caller:
        """The agent of the bearer token. Raises Refused: no or no good token, too many requests, auth unavailable."""
        token = bearer_token(request)
        failures = self._failures.of(self._source(request))
        if failures.level(self._clock()) < 1:
            sentence = "too many refused tokens from this address; try again later"
            raise Refused(Code.THROTTLED, sentence, retry_after_ms=math.ceil(1000 / failures.rate))
        try:
            identity = await self._bus.request(VALIDATE, Validate(token=token))
        except Refused as refused:
            if refused.code in TOKEN_CODES:
                failures.take(self._clock())
            raise
        wait = self._agents.of(identity.agent_id).take(self._clock())
        if wait > 0:
            sentence = "too many requests; try again later"
            raise Refused(Code.RATE_LIMITED, sentence, retry_after_ms=math.ceil(wait * 1000))
        return Caller(
            agent_id=identity.agent_id,
            name=identity.name,
            kind=identity.kind,
            permissions=frozenset(identity.permissions),
        )

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
