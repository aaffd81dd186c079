"""Runs one process of a service: settings, the internal port, the broker, the service itself, and an orderly end."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from shared.broker.nats.connection import Broker, BrokerError, NatsConnection
from shared.broker.nats.ports import connected, ports_over
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.subjects import LOG_STREAM
from shared.runtime import lifecycle
from shared.runtime.lifecycle import Failed, Stopped, until
from shared.runtime.ops import OpsServer, Ready
from shared.runtime.service import ServiceInstance
from shared.runtime.settings import ServiceSettings
from shared.telemetry import metrics
from shared.values.errors import unavailable

log = structlog.get_logger()

LAG_SECONDS = 0.1  # between measurements of the event loop's lag

Settings = TypeVar("Settings", bound=ServiceSettings)
Build = Callable[[Settings, Ports], ServiceInstance]
"""`services/<name>/service.py: build`: puts the parts together and starts nothing. Raises Failed."""


def run(
    name: str,
    settings_class: type[Settings],
    build: Build[Settings],
    *,
    uses_log: bool = False,
    streams: Callable[[Settings], Streams] | None = None,
) -> None:
    """Run a process of this service until it is told to stop. Exits with status 1 and one sentence when it fails.

    `uses_log`: the process waits for the log's stream before it starts. `streams`: the streams that the service owns, so
    that it makes them.
    """

    async def serve(settings: Settings, stop: asyncio.Event) -> None:
        owned = streams(settings) if streams is not None else None
        password = settings.nats_password
        broker = Broker(
            url=settings.nats_url,
            user=settings.nats_user,
            password=password.get_secret_value() if password else None,
            timeout=settings.request_timeout,
            logs=(LOG_STREAM,) if uses_log else (),
            streams=owned,
        )
        await Process(name, settings, stop).serve(broker, build)

    lifecycle.run(name, settings_class, serve)


class Process:
    """A process of a service. `/healthz` is true from the start, `/readyz` while the service serves."""

    def __init__(self, name: str, settings: ServiceSettings, stop: asyncio.Event) -> None:
        self._name = name
        self._settings = settings
        self._stop = stop
        self._connection: NatsConnection | None = None
        self._serving: ServiceInstance | None = None

    async def serve(self, broker: Broker, build: Callable[..., ServiceInstance]) -> None:
        """Connect, serve until told to stop, disconnect. Raises Failed, Stopped, Refused."""
        ops = await _ops(self._settings, self.ready)
        lag = asyncio.create_task(_measure_lag(), name="loop lag")
        try:
            connection = self._connection = await self._connect(broker)
            try:
                await self._live(build(self._settings, ports_over(connection)), connection)
            finally:
                await connection.close()
        finally:
            lag.cancel()
            await ops.stop()

    async def ready(self) -> str | None:
        """See Ready."""
        if self._connection is None:
            raise unavailable("the broker")
        if self._serving is None:
            raise unavailable(self._name)
        notice = await self._serving.ready()
        await self._connection.check()
        return notice

    async def _connect(self, broker: Broker) -> NatsConnection:
        connecting = asyncio.ensure_future(connected(broker, f"parley-{self._name}"))
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            raise Stopped
        try:
            return connecting.result()
        except BrokerError as error:
            raise Failed(str(error)) from None

    async def _live(self, service: ServiceInstance, connection: NatsConnection) -> None:
        """Start the service, wait until told to stop, stop it. Raises Failed when the connection is lost for good."""
        await service.start()
        self._serving = service
        log.info("ready")
        try:
            await until(self._stop, connection.failed)
            log.info("stopping")
        finally:
            self._serving = None
            await service.stop()


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG.observe(max(0.0, loop.time() - before - LAG_SECONDS))


async def _ops(settings: ServiceSettings, ready: Ready) -> OpsServer:
    try:
        ops = OpsServer(settings.ops_host, settings.ops_port, ready)
    except OSError as error:
        where = f"{settings.ops_host}:{settings.ops_port}"
        raise Failed(f"cannot listen on {where} for the internal port ({error.strerror})") from None
    await ops.start()
    return ops
