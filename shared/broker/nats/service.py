"""Answers endpoints as a NATS micro service: `$SRV.PING/INFO/STATS`, JSON Schemas, many requests at once."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.micro.request import Request as MicroRequest
from nats.micro.request import ServiceError
from nats.micro.service import Service as MicroService
from nats.micro.service import ServiceConfig
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from shared.broker.requests import CONCURRENT_REQUESTS, Handler, Service
from shared.broker.subjects import Endpoint
from shared.telemetry import metrics, tracing
from shared.values.errors import Code, Refused, internal_error, unavailable
from shared.version import __version__

log = structlog.get_logger()


OUTCOMES = ("ok", Code.UNAVAILABLE.value, Code.INTERNAL.value)  # the others are refusals of callers' mistakes


class _ManyAtOnce:
    """Wraps the client for nats-py's `Service`, so that a callback does not wait for the one before it.

    nats-py runs the callbacks of a subscription one after another. One slow room would hold up all others.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._nuid = client._nuid
        self.running: set[asyncio.Task[None]] = set()

    async def subscribe(
        self, subject: str, queue: str = "", cb: Callable[[Msg], Awaitable[None]] | None = None
    ) -> Subscription:
        async def start(message: Msg) -> None:
            if cb is None:
                return
            if len(self.running) >= CONCURRENT_REQUESTS:
                await _refuse(MicroRequest(message), unavailable("the service"))
                return
            task: asyncio.Task[None] = asyncio.ensure_future(cb(message))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

        return await self._client.subscribe(subject, queue=queue, cb=start)

    async def flush(self) -> None:
        await self._client.flush()


class NatsService:
    """One served `Service`."""

    def __init__(self, client: Client, service: Service) -> None:
        self._tasks = _ManyAtOnce(client)
        self._service = service
        config = ServiceConfig(
            name=service.name,
            version=__version__,
            description=service.description,
            metadata=dict(service.metadata),
            queue_group=service.name,
        )
        self._micro: Any = MicroService(self._tasks, config)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Subscribe the endpoints, then answer `$SRV`."""
        for endpoint, handler in self._service.endpoints:
            for code in OUTCOMES:
                metrics.REQUEST_SECONDS.labels(endpoint.name, code)  # there before the first request: alerts watch it
            await self._micro.add_endpoint(
                name=endpoint.name.partition(".")[2],
                subject=endpoint.subject,
                handler=_answerer(endpoint, handler),
                metadata={
                    "description": endpoint.description,
                    "request_schema": json.dumps(endpoint.request.model_json_schema()),
                    "reply_schema": json.dumps(endpoint.reply.model_json_schema()),
                },
            )
        await self._micro.start()

    async def stop(self) -> None:
        """Take no more requests, and finish those that were taken."""
        await self._micro.stop()
        if self._tasks.running:
            await asyncio.wait(self._tasks.running)


def _answerer(endpoint: Endpoint[Any, Any], handler: Handler) -> Callable[[MicroRequest], Awaitable[None]]:
    async def answer(request: MicroRequest) -> None:
        started = time.perf_counter()
        code = "ok"
        with tracing.span(endpoint.name, SpanKind.SERVER, request.headers):
            try:
                reply = await handler(endpoint.request.model_validate_json(request.data, extra="ignore"))
                try:
                    await request.respond(reply.model_dump_json(by_alias=True).encode())
                except nats.errors.MaxPayloadError as error:  # else nobody would know why no answer comes
                    metrics.BROKER_ERRORS.labels(type(error).__name__).inc()
                    raise unavailable(endpoint.name.partition(".")[0]) from None
                except (nats.errors.Error, OSError):
                    pass  # as in `_refuse`
            except Refused as refused:
                code = refused.code
                await _refuse(request, refused)
            except ValidationError as error:
                code = Code.BAD_MESSAGE
                where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
                await _refuse(request, Refused(Code.BAD_MESSAGE, f"the request does not fit its schema at {where!r}"))
            except Exception as error:
                code = Code.INTERNAL
                log.exception("endpoint failed", endpoint=endpoint.name)
                # Raised, so that nats-py counts it as an error of the endpoint and answers with it.
                raise ServiceError(code, internal_error().message) from error
            finally:
                metrics.REQUEST_SECONDS.labels(endpoint.name, str(code)).observe(time.perf_counter() - started)

    return answer


async def _refuse(request: MicroRequest, refused: Refused) -> None:
    more: dict[str, Any] = {"details": refused.details, "retryAfterMs": refused.retry_after_ms}
    if refused.cause is not None:
        more["cause"] = refused.cause
    # Without a connection the answer cannot be sent, and the caller has stopped waiting anyway.
    with contextlib.suppress(nats.errors.Error, OSError):
        await request.respond_error(str(refused.code), refused.message, data=json.dumps(more).encode())
