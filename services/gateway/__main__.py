"""Composition root of the gateway: settings → bus → rooms it follows → server; nothing else."""

import asyncio
import os
import time

import structlog

from services.gateway.context import Surroundings
from services.gateway.departures import Departures
from services.gateway.ice_servers import IceServers
from services.gateway.identity import FailedLogins
from services.gateway.lease import Lease
from services.gateway.replica.room_feed import RoomFeeds
from services.gateway.rest.app import rest_app
from services.gateway.sealing import Sealer
from services.gateway.server import GatewayServer, url_of
from services.gateway.session.authentication import Shared
from services.gateway.settings import GatewaySettings
from services.gateway.signaling.relay import SignalValidator
from services.gateway.transport.tls import tls_context
from shared.broker.bus import Bus, Service
from shared.runtime import lifecycle, ops, process
from shared.runtime.lifecycle import Failed

log = structlog.get_logger()


def compose(settings: GatewaySettings, bus: Bus, ready: ops.Ready) -> GatewayServer:
    """The gateway's parts, put together. Raises Failed when the port or its certificate cannot be had."""
    tls = tls_context(settings)
    try:
        listening = ops.listen(settings.host, settings.port)
    except OSError as error:
        raise Failed(f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another") from None
    sealer = Sealer(settings.sealing_keys(), os.urandom)
    around = Surroundings(
        bus=bus,
        rooms=RoomFeeds(bus, sealer, settings.signal_seconds),
        farewells=Departures(bus),
        lease=Lease(bus, settings.lease_seconds, time.time, os.urandom),
        ice=IceServers(bus, time.time),
        clock=time.time,
        chance=os.urandom,
        rooms_per_session=settings.rooms_per_session,
        replay_seconds=settings.replay_seconds,
    )
    failed = FailedLogins(settings.failed_logins, time.monotonic)
    shared = Shared(settings, around, sealer, SignalValidator(settings), failed)
    app = rest_app(bus, settings, lambda: url_of(listening, settings.scheme), ready, failed, time.monotonic)
    return GatewayServer(shared, app, listening, tls)


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    async with process.on_the_bus("gateway", settings, stop) as running:
        server = compose(settings, running.bus, running.ready)
        running.also.append(server.check)
        await server.start()
        log.info("listening", url=server.url())
        description = "Holds the clients' WebSockets; thin, and without any state of its own."
        await running.bus.serve(Service("gateway", description, []))
        try:
            await running.until_stopped()
        finally:
            await server.stop(settings.drain_window)


if __name__ == "__main__":
    lifecycle.run("gateway", GatewaySettings, serve)
