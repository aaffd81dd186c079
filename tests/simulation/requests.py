"""Asking and answering over a faulty connection."""

import asyncio
import traceback
from functools import partial
from typing import Any

from shared.broker.memory.requests import MemoryRequests
from shared.broker.requests import Handler, Reply, Request, Service, with_deadline
from shared.broker.subjects import Endpoint
from shared.values.errors import Refused
from tests.simulation.connection import PATIENCE, FaultyConnection


class FaultyRequests(MemoryRequests):
    """See Requests. What it does not do, MemoryRequests does."""

    def __init__(self, connection: FaultyConnection) -> None:
        super().__init__(connection)
        self._faulty = connection
        self._network = connection.network
        self._process = connection.process
        self._services: list[Service] = []
        self._working = 0
        connection.on_loss.append(self.withdraw)
        connection.on_find.append(self._serve_again)
        connection.on_close.append(self._finish)

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Requests."""
        request = with_deadline(request, self._network.loop.wall() + PATIENCE)
        self._network.note(self._process.name, f"asks {endpoint.name} {request.model_dump(exclude={'caller'})}")
        return await self._faulty.ask(endpoint.name, partial(super().request, endpoint, request))

    async def serve(self, service: Service) -> None:
        """See Requests."""
        inside = [(endpoint, self._inside(handler)) for endpoint, handler in service.endpoints]
        served = Service(service.name, service.description, inside)
        self._services.append(served)
        await super().serve(served)

    async def _serve_again(self) -> None:
        for service in self._services:
            await super().serve(service)

    def _inside(self, handler: Handler) -> Handler:
        """Wrap a handler, so that it runs in this process to its end, also when the caller stops waiting."""

        async def answer(asked: Any) -> Any:
            self._working += 1
            try:
                reply = await self._process.spawn(handler(asked))
            except Refused:
                raise
            except Exception:
                self._network.blame(f"{handler.__name__} has a bug: {traceback.format_exc()}")
                raise
            finally:
                self._working -= 1
            if self._faulty.cut:
                raise asyncio.CancelledError  # a dead process gives no answer
            return reply

        return answer

    async def _finish(self) -> None:
        while self._working:
            await asyncio.sleep(0.05)
