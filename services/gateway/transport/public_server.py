"""uvicorn on the public port, behind a door of our own."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import uvicorn

from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.door import Door
from services.gateway.transport.guard import Guard
from services.gateway.transport.http_protocol import HttpPort
from services.gateway.transport.tls import handshake_cost
from shared.runtime.ops import EmbeddedServer


class PublicServer(EmbeddedServer):
    """Makes an HttpPort for each connection that the door lets in. `websocket` makes what upgrade requests go to."""

    def __init__(
        self,
        config: uvicorn.Config,
        guard: Guard,
        websocket: Callable[[Arrival], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(config)
        self._guard = guard
        self._websocket = websocket
        self._tls = tls
        self._doors: list[Door] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        cost = 0.0 if self._tls is None else handshake_cost(self._tls)
        for listening in sockets or []:
            door = Door(listening, self._guard, self._protocol, context=self._tls, handshake_cost=cost)
            door.open(self.config.backlog)
            self._doors.append(door)
        await super().startup(sockets=[])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        for door in self._doors:
            door.close()
        await super().shutdown(sockets)
        self._guard.close()

    def _protocol(self, arrival: Arrival) -> asyncio.Protocol:
        uvicorns: dict[str, Any] = {
            "config": self.config,
            "server_state": self.server_state,
            "app_state": self.lifespan.state,
        }
        return HttpPort(self._guard, arrival, self._websocket, **uvicorns)
