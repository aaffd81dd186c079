"""Runs one process of a service: settings, the internal port, the broker, the service itself, and an orderly end."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from shared.broker.nats.connection import Broker, BrokerError, NatsConnection
from shared.broker.nats.ports import connection_to, ports_over
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.subjects import LOG_STREAM
from shared.runtime import lifecycle
from shared.runtime.lifecycle import Failed, Stopped, Wishes, until
from shared.runtime.ops import OpsServer, Ready
from shared.runtime.readiness import Readiness
from shared.runtime.service import ServiceInstance
from shared.runtime.settings import ServiceSettings, SettingsError
from shared.telemetry import logs, metrics
from shared.values.errors import Code, Refused, unavailable

log = structlog.get_logger()

STOP_SECONDS = 2.0  # for an attempt to connect to be given up
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

    async def serve(settings: Settings, wishes: Wishes) -> None:
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
        await Process(name, settings, wishes).serve(broker, build)

    lifecycle.run(name, settings_class, serve)


class Process:
    """A process of a service. `/healthz` is true from the start, `/readyz` while the service serves."""

    def __init__(self, name: str, settings: ServiceSettings, wishes: Wishes) -> None:
        self._name = name
        self._settings = settings
        self._stop = wishes.stop
        self._reload = wishes.reload
        self._connection: NatsConnection | None = None
        self._serving: ServiceInstance | None = None

    async def serve(self, broker: Broker, build: Callable[..., ServiceInstance]) -> None:
        """Connect, serve until told to stop, disconnect. Raises Failed, Stopped, Refused."""
        ops = await _ops(self._settings, self.ready)
        tasks = [
            asyncio.create_task(_measure_lag(), name="loop lag"),
            asyncio.create_task(Readiness(self.ready).run(), name="readiness"),
            asyncio.create_task(self._read_again(), name="reload"),
        ]
        try:
            connection = self._connection = connection_to(broker, f"parley-{self._name}")
            await self._connect(connection)
            try:
                await self._live(build(self._settings, ports_over(connection)), connection)
            finally:
                await connection.close()
        finally:
            for task in tasks:
                task.cancel()
            await ops.stop()

    async def ready(self, thorough: bool = True) -> str | None:
        """See Ready. Only a `thorough` look asks the broker."""
        if self._stop.is_set():
            raise Refused(Code.UNAVAILABLE, "stopping")
        if self._connection is None:
            raise unavailable("the broker")
        if self._connection.waits_for:
            raise Refused(Code.UNAVAILABLE, f"waiting for {self._connection.waits_for}")
        if self._serving is None:
            raise unavailable(self._name)
        notice = await self._serving.ready()
        if thorough:
            await self._connection.check()
        return notice

    async def _read_again(self) -> None:
        """On SIGHUP: take the files as they are now (secrets, certificates, the log level)."""
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                settings = type(self._settings).read()
                if self._serving is not None:
                    self._serving.reload(settings)
            except (SettingsError, Failed) as error:
                log.error("what was set before stays", why=str(error))
                continue
            logs.set_level(settings.log_level)
            if self._connection is not None and settings.nats_password is not None:
                self._connection.use_password(settings.nats_password.get_secret_value())
            log.info("read again")

    async def _connect(self, connection: NatsConnection) -> None:
        """Wait for the broker. Raises Stopped when told to stop meanwhile, and Failed when the broker cannot be used."""
        connecting = asyncio.ensure_future(connection.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=STOP_SECONDS)
            await connection.close()
            raise Stopped
        try:
            connecting.result()
        except BrokerError as error:
            raise Failed(str(error)) from None

    async def _live(self, service: ServiceInstance, connection: NatsConnection) -> None:
        """Start the service, wait until told to stop, stop it. Raises Failed when the connection is lost for good."""
        await service.start()
        self._serving = service
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
