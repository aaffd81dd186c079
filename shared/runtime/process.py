"""What every service's process has: the bus, the internal port, and an orderly end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from shared.broker.nats import bus as nats_bus
from shared.broker.nats.bus import NatsBus
from shared.broker.nats.connection import Broker, BrokerError
from shared.broker.nats.streams import Streams
from shared.runtime.lifecycle import Failed, Stopped, until
from shared.runtime.ops import OpsServer, Ready
from shared.runtime.settings import ServiceSettings
from shared.telemetry import metrics
from shared.values.errors import unavailable

log = structlog.get_logger()

LAG_SECONDS = 0.1  # between two looks at how late the event loop is


class Running:
    """A service that is connected. Not ready until `until_stopped` is reached."""

    def __init__(self, name: str, bus: NatsBus, stop: asyncio.Event) -> None:
        self.bus = bus
        self._name = name
        self._stop = stop
        self.serving = False
        self.also: list[Callable[[], Awaitable[None]]] = []  # what else has to hold for being ready

    async def ready(self) -> None:
        """Raises Refused while the service cannot serve."""
        if not self.serving:
            raise unavailable(self._name)
        for check in self.also:
            await check()
        await self.bus.check()

    async def until_stopped(self) -> None:
        """Serve until told to stop. Raises Failed when the broker is of no use any more."""
        self.serving = True
        log.info("ready")
        try:
            await until(self._stop, self.bus.failed)
        finally:
            self.serving = False
        log.info("stopping")


@asynccontextmanager
async def on_the_bus(
    name: str, settings: ServiceSettings, stop: asyncio.Event, streams: Streams | None = None
) -> AsyncIterator[Running]:
    """Connect, with `/healthz` true and `/readyz` false meanwhile; disconnect at the end. Raises Failed."""
    running: Running | None = None

    async def ready() -> None:
        if running is None:
            raise unavailable("the broker")
        await running.ready()

    ops = await _ops(settings, ready)
    lag = asyncio.create_task(_measure_lag(), name="loop lag")
    try:
        bus = await _connect(name, settings, stop, streams)
        if bus is None:
            raise Stopped
        running = Running(name, bus, stop)
        try:
            yield running
        finally:
            await bus.close()
    finally:
        lag.cancel()
        await ops.stop()


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


async def _connect(
    name: str, settings: ServiceSettings, stop: asyncio.Event, streams: Streams | None
) -> NatsBus | None:
    password = settings.nats_password
    broker = Broker(
        url=settings.nats_url,
        user=settings.nats_user,
        password=password.get_secret_value() if password else None,
        timeout=settings.request_timeout,
        uses_log=name != "auth",
        streams=streams,
    )
    connecting = asyncio.ensure_future(nats_bus.connect(broker, f"parley-{name}"))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not connecting.done():
        connecting.cancel()
        return None
    try:
        return connecting.result()
    except BrokerError as error:
        raise Failed(str(error)) from None
