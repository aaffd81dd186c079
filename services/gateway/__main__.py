"""Composition root of the gateway: settings → bus → rooms it follows → server; nothing else."""

import asyncio
import os
import time

import structlog

from services.gateway.context import GatewayContext
from services.gateway.rest.app import rest_app
from services.gateway.server import GatewayServer, url_of
from services.gateway.settings import GatewaySettings
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
    context = GatewayContext.compose(settings, bus, clock=time.time, ticks=time.monotonic, chance=os.urandom)
    app = rest_app(context, lambda: url_of(listening, settings.scheme), ready)
    return GatewayServer(context, app, listening, tls)


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
