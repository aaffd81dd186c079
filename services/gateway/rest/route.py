"""Checks a request before its operation runs: no parameter twice, then the sender, then the body, read strictly."""

import asyncio
import email.message
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.rest.caller import Callers, Guests
from services.gateway.rest.neighbours import Neighbours
from services.gateway.rest.problems import BadRequest
from services.gateway.settings import GatewaySettings
from services.gateway.transport.handshake import WEBSOCKET_PATH
from shared.broker.requests import Requests
from shared.rooms.commands import Caller
from shared.runtime.ops import Ready
from shared.telemetry import tracing
from shared.values.errors import Code, Refused
from shared.wire import strict_json

BODY_SECONDS = 10.0

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Rest:
    """What the operations use."""

    requests: Requests
    settings: GatewaySettings
    public_url: Callable[[], str]
    ready: Ready
    callers: Callers
    guests: Guests
    neighbours: Neighbours

    def websocket_url(self) -> str:
        """The URL of the WebSocket, from the settings or the listening address, never from a request."""
        base = (self.settings.public_url or self.public_url()).rstrip("/")
        for scheme, replacement in (("https://", "wss://"), ("http://", "ws://")):
            if base.startswith(scheme):
                base = replacement + base.removeprefix(scheme)
        return base + WEBSOCKET_PATH


async def rest_of(request: Request) -> Rest:
    """The `Rest` of the request's application."""
    rest: Rest = request.app.state.rest
    return rest


_bearer = HTTPBearer(bearerFormat="JWT", scheme_name="agentLink", description="An agent-link token.", auto_error=False)


async def _caller(request: Request, _described: Annotated[Any, Security(_bearer)]) -> Caller:
    caller: Caller = request.state.caller
    return caller


RestOf = Annotated[Rest, Depends(rest_of)]
CallerOf = Annotated[Caller, Depends(_caller)]


class _Received(Request):
    """A request whose body was read and parsed before FastAPI asks for it."""

    def __init__(self, request: Request, body: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._bytes = body
        self._value = value

    async def body(self) -> bytes:
        """The body as it came."""
        return self._bytes

    async def json(self) -> Any:
        """The parsed body."""
        return self._value


class PublicRoute(APIRoute):
    """An operation without a token."""

    def get_route_handler(self) -> Handler:
        """Check in this order, so that refusing strangers is cheap: URL, sender, body, then FastAPI's own checks."""
        operation = super().get_route_handler()

        async def handle(request: Request) -> Response:
            with tracing.span(f"{request.method} {self.path}", SpanKind.SERVER):
                rest = await rest_of(request)
                if len(request.query_params.multi_items()) > len(request.query_params):
                    raise Refused(Code.BAD_MESSAGE, "the URL has a parameter twice")
                await self.admit(request, rest)
                body = await _read(request, rest.settings.rest_body_bytes)
                value = _parse(request, body) if body and self.body_field is not None else None
                return await operation(_Received(request, body, value))

        return handle

    async def admit(self, request: Request, rest: Rest) -> None:
        """Check the sender of a request. Raises Refused, or HTTPException."""


class AgentRoute(PublicRoute):
    """An operation for agents with a token."""

    async def admit(self, request: Request, rest: Rest) -> None:
        """Raises Refused without a good token, and when the agent asks too often."""
        request.state.caller = await rest.callers.identify(request)


async def _read(request: Request, limit: int) -> bytes:
    """The body. Raises Refused when it has more than `limit` bytes, before they are all read, or when it is too slow."""
    length = request.headers.get("content-length", "")
    too_large = Refused(Code.TOO_LARGE, f"a body may have {limit} bytes", details={"maxBytes": limit})
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise BadRequest("the body did not arrive in time", HTTPStatus.REQUEST_TIMEOUT) from None
    return bytes(body)


def _parse(request: Request, body: bytes) -> Any:
    content_type = email.message.Message()
    content_type["content-type"] = request.headers.get("content-type", "")
    if content_type.get_content_type() != "application/json":
        raise BadRequest("send the body as `Content-Type: application/json`", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        return strict_json.loads_exact(body)
    except strict_json.InvalidJson as error:
        raise BadRequest(str(error)) from None
