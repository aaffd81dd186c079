"""Composes the gateway from its settings and ports: context, REST app, server."""

import os
import time

import structlog

from services.gateway.context import Chance, Clock, GatewayContext
from services.gateway.rest.app import rest_app
from services.gateway.rest.shared import Shared
from services.gateway.server import GatewayServer, url_of
from services.gateway.settings import GatewaySettings
from services.gateway.transport.tls import renew, tls_context
from shared.broker.ports import Ports
from shared.broker.requests import Service
from shared.runtime import ops
from shared.runtime.lifecycle import Failed
from shared.values.errors import Refused, unavailable

log = structlog.get_logger()

DESCRIPTION = "Holds the clients' WebSockets; thin, and without any state of its own."


class Gateway:
    """One gateway."""

    def __init__(self, context: GatewayContext) -> None:
        settings = context.settings
        tls = self._tls = tls_context(settings)
        try:
            listening = ops.listen(settings.host, settings.port)
        except OSError as error:
            raise Failed(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another"
            ) from None
        app = rest_app(context, lambda: url_of(listening, settings.scheme), self._public_ready)
        self.server = GatewayServer(context, app, listening, tls)
        self._context = context
        self._serving = False
        self._check = Shared(context.ports.connection.check)

    async def start(self) -> None:
        """Listen, then register with NATS' service discovery."""
        await self.server.start()
        log.info("listening", url=self.server.url())
        await self._context.ports.requests.serve(Service("gateway", DESCRIPTION, []))
        self._serving = True

    async def ready(self) -> str | None:
        """Raises Refused unless the gateway serves and its lease is held. Full storage is no reason: who is in stays in."""
        if not self._serving:
            raise unavailable("gateway")
        notices = (self._context.reserve.notice(), self.server.guard.shortage.notice())
        notice = " ".join(filter(None, notices)) or None
        try:
            await self.server.check()
        except Refused as refused:
            raise Refused(refused.code, f"{refused.message} ({notice})" if notice else refused.message) from None
        return notice

    async def _public_ready(self) -> str | None:
        """The same check as the internal port's: the gateway and its connection to the broker.

        Anybody may ask this, and the broker stores something each time: so it is asked once for all who ask meanwhile.
        """
        notice = await self.ready()
        await self._check.shared()
        return notice

    def reload(self, settings: GatewaySettings) -> None:
        """Show the certificate, and seal with the keys, as they are in their files now."""
        if self._tls is not None:
            renew(self._tls, settings)
        self._context.sealer.use(settings.sealing_keys())

    async def stop(self) -> None:
        """Send the clients to other gateways, and close."""
        self._serving = False
        await self.server.stop(self._context.settings.drain_window)


def build(
    settings: GatewaySettings,
    ports: Ports,
    *,
    clock: Clock | None = None,
    ticks: Clock = time.monotonic,
    chance: Chance = os.urandom,
) -> Gateway:
    """One gateway, not started. `clock` gives Unix seconds: the broker's, unless another is given.

    Raises Failed when the port or its certificate cannot be had.
    """
    return Gateway(GatewayContext.compose(settings, ports, clock=clock or ports.clock, ticks=ticks, chance=chance))
