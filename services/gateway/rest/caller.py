"""Identifies the sender of a REST request by its bearer token, which auth verifies, and limits its requests."""

import math
from collections.abc import Sequence

from starlette.requests import Request

from services.gateway.context import GatewayContext
from services.gateway.participation.caller import caller_of
from services.gateway.token_bucket import Buckets
from services.gateway.transport.answering import KNOWN
from services.gateway.transport.handshake import source_address
from shared.auth.commands import GuestIssued, IssueGuestToken, Validate
from shared.broker.subjects import ISSUE_GUEST_TOKEN, VALIDATE
from shared.rooms.commands import Caller
from shared.values.address import network_of
from shared.values.errors import Code, Refused

TOKEN_CHARACTERS = 8 * 1024
BURST = 4  # seconds' worth of requests at once


class Callers:
    """Identifies callers by their tokens, and limits the rate of each agent."""

    def __init__(self, context: GatewayContext) -> None:
        settings = context.settings
        self._requests = context.ports.requests
        self._proxies = settings.trusted_proxies
        self._clock = context.ticks
        self._failed = context.failed_logins
        self._agents = Buckets(settings.rest_rate, settings.rest_rate * BURST)

    async def identify(self, request: Request) -> Caller:
        """The agent of the bearer token. Raises Refused: no or no good token, too many requests, auth unavailable."""
        token = bearer_token(request)
        source = source_of(request, self._proxies)
        self._failed.check(source)
        try:
            identity = await self._requests.request(VALIDATE, Validate(token=token))
        except Refused as refused:
            self._failed.count(source, refused)
            raise
        getattr(request.state, KNOWN, _nothing)()
        _take(self._agents, identity.agent_id, self._clock(), "too many requests; try again later")
        return caller_of(identity)


class Guests:
    """Gets guest tokens, and limits how many each source address gets in a minute."""

    def __init__(self, context: GatewayContext) -> None:
        settings = context.settings
        self._requests = context.ports.requests
        self._proxies = settings.trusted_proxies
        self._clock = context.ticks
        self._failed = context.failed_logins
        self._sources = Buckets(settings.guest_tokens / 60, settings.guest_tokens)

    def admit(self, request: Request) -> None:
        """Raises Refused when an address asks too often."""
        source = network_of(source_of(request, self._proxies))
        _take(self._sources, source, self._clock(), "too many guests from this address; try again later")

    async def issue(self, request: Request, name: str | None) -> GuestIssued:
        """A token for a new guest, or for the guest whose token the request has. Raises Refused."""
        source = source_of(request, self._proxies)
        issue = IssueGuestToken(name=name, network=network_of(source))
        if not request.headers.getlist("authorization"):
            return await self._requests.request(ISSUE_GUEST_TOKEN, issue)
        renewal = issue.model_copy(update={"renews": bearer_token(request)})
        self._failed.check(source)
        try:
            return await self._requests.request(ISSUE_GUEST_TOKEN, renewal)
        except Refused as refused:
            self._failed.count(source, refused)
            raise


def _nothing() -> None:
    """Where nobody limits strangers, as in tests of this application alone."""


def _take(buckets: Buckets, name: str, now: float, sentence: str) -> None:
    wait = buckets.of(name).take(now)
    if wait > 0:
        raise Refused(Code.RATE_LIMITED, sentence, retry_after_ms=math.ceil(wait * 1000))


def source_of(request: Request, proxies: Sequence[str]) -> str:
    """The address of the client, behind trusted proxies that of `X-Forwarded-For`."""
    peer = request.client.host if request.client else ""
    return source_address(peer, ",".join(request.headers.getlist("x-forwarded-for")), proxies)


def bearer_token(request: Request) -> str:
    """The token of `Authorization: Bearer` (RFC 6750). Raises Refused when there is none, or it is too long."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].strip().partition(" ") if len(values) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(Code.NOT_AUTHENTICATED, "send an agent-link token as `Authorization: Bearer`")
    if len(token) > TOKEN_CHARACTERS:
        raise Refused(Code.INVALID_TOKEN, f"the token is longer than {TOKEN_CHARACTERS} characters")
    return token
