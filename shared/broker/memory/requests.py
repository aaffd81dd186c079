"""Asking and answering in memory: calls the handler directly. Request and reply go through their JSON schemas."""

import asyncio

from pydantic import ValidationError

from shared.broker.memory.connection import MemoryConnection
from shared.broker.requests import Reply, Request, Service, with_deadline
from shared.broker.subjects import Endpoint
from shared.values.errors import Code, Refused, internal_error, unavailable

REQUEST_SECONDS = 5.0  # the deadline of a command, after it was sent


class MemoryRequests:
    """See Requests."""

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._served: list[str] = []
        connection.before_close.append(self.withdraw)

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Requests. The process that was asked longest ago answers."""
        await asyncio.sleep(0)
        self._connection.reach()
        answering = self._broker.answering.get(endpoint.subject)
        if not answering:
            raise unavailable(endpoint.name.partition(".")[0])
        request = with_deadline(request, self._broker.clock() + REQUEST_SECONDS)
        key = next(iter(answering))
        served, handler = answering[key] = answering.pop(key)
        try:
            asked = served.request.model_validate_json(request.model_dump_json(by_alias=True), extra="ignore")
        except ValidationError as error:
            raise Refused(Code.BAD_MESSAGE, "the request does not fit its schema") from error
        try:
            reply = await handler(asked)
        except Refused:
            raise
        except Exception as error:
            raise internal_error() from error
        return endpoint.reply.model_validate_json(reply.model_dump_json(by_alias=True), extra="ignore")

    async def serve(self, service: Service) -> None:
        """See Requests."""
        for endpoint, handler in service.endpoints:
            self._broker.answering.setdefault(endpoint.subject, {})[id(self)] = (endpoint, handler)
            self._served.append(endpoint.subject)

    def withdraw(self) -> None:
        """Stop answering."""
        for subject in self._served:
            self._broker.answering[subject].pop(id(self), None)
        self._served.clear()
