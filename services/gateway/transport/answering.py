"""How a request is answered: measured, within the limits of its address, and closed afterwards if its body was not read."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from services.gateway import metrics
from services.gateway.transport import handshake
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.guard import Guard
from services.gateway.transport.refusal import Refusal
from shared.values.errors import Code, Refused

KNOWN = "known"  # of the request's state: to be called when its token has been verified
TOO_MANY_CONNECTIONS = Refused(Code.RATE_LIMITED, "too many connections from your address", retry_after_ms=1000)


class Cycle(Protocol):
    """What is used of uvicorn's RequestResponseCycle."""

    keep_alive: bool
    more_body: bool


class Answering:
    """The transport as an answer uses it: its close is `finish`, and nothing is written once it is closed (uvloop raises)."""

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self.close = finish

    def write(self, data: bytes) -> None:
        """See asyncio.Transport."""
        if not self._transport.is_closing():
            self._transport.write(data)


def answered(guard: Guard, arrival: Arrival, cycle: Cycle, app: Any) -> Any:
    """The ASGI application `app` for one request of this connection."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and cycle.more_body:
                cycle.keep_alive = False  # who does not read the body cannot find the next request behind it
            await send(message)

        network = arrival.network or _forwarded(scope, guard)
        refused = TOO_MANY_CONNECTIONS if arrival.over else guard.requests.begin(network, guard.ticks())
        if refused is not None:
            metrics.HTTP_REFUSED.labels(refused.code).inc()
            cycle.keep_alive = cycle.keep_alive and not arrival.over
            await guard.gate.measured(Refusal(refused)(scope, receive, sending))
            return
        measured = guard.gate.measured(app(scope, receive, sending))

        def known() -> None:
            measured.stop()
            guard.requests.known(network)

        scope["state"][KNOWN] = known
        try:
            await measured
        finally:
            guard.requests.end(network)

    return answer


def _forwarded(scope: Scope, guard: Guard) -> str:
    """The network that a trusted proxy says a request is from."""
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    peer: Any = (scope.get("client") or ("",))[0]
    return guard.network(handshake.source_address(peer, forwarded, guard.settings.trusted_proxies))
