"""Asking and answering over NATS: a request with a reply subject, answered by a micro service."""

import asyncio
import json
from typing import Any

import structlog
from nats.aio.msg import Msg
from opentelemetry.trace import SpanKind

from shared.broker.nats.connection import FAILURES, NatsConnection
from shared.broker.nats.service import NatsService
from shared.broker.requests import Reply, Request, Service, with_deadline
from shared.broker.subjects import Endpoint
from shared.telemetry import tracing
from shared.values.errors import Code, Refused, unavailable

log = structlog.get_logger()


class NatsRequests:
    """See Requests."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._client = connection.client
        self._seconds = connection.broker.timeout

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Requests."""
        request = with_deadline(request, self._connection.time.clock() + self._seconds)
        body = request.model_dump_json(by_alias=True).encode()
        service = endpoint.name.partition(".")[0]
        with tracing.span(endpoint.name, SpanKind.CLIENT):
            headers = tracing.trace_headers({}) or None
            try:
                answer = await self._client.request(endpoint.subject, body, timeout=self._seconds, headers=headers)
            except FAILURES:
                raise unavailable(service) from None
        if answer.headers and "Nats-Service-Error-Code" in answer.headers:
            raise _refusal(answer)
        try:
            return endpoint.reply.model_validate_json(answer.data, extra="ignore")
        except ValueError:
            log.warning("an answer does not fit its schema", endpoint=endpoint.name)
            raise unavailable(service) from None

    async def serve(self, service: Service) -> None:
        """See Requests."""
        served = NatsService(self._client, service)
        await served.start()

        async def stop() -> None:
            try:
                async with asyncio.timeout(self._seconds):
                    await served.stop()
            except FAILURES:
                log.warning("stopped before every request was answered")

        self._connection.before_close.append(stop)
        await self._connection.replies.settle()


def _refusal(answer: Msg) -> Refused:
    headers = answer.headers or {}
    try:
        code = Code(headers["Nats-Service-Error-Code"])
    except ValueError:
        return unavailable("the service")
    body: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    return Refused(
        code,
        headers.get("Nats-Service-Error", code),
        details=body.get("details"),
        retry_after_ms=body.get("retryAfterMs"),
        cause=body.get("cause"),
    )
