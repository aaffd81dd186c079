"""The port for asking and answering: one process of the service that serves an endpoint answers a request to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from shared.broker.subjects import Endpoint
from shared.rooms.commands import Command
from shared.values.model import Tolerant

Request = TypeVar("Request", bound=Tolerant)
Reply = TypeVar("Reply", bound=Tolerant)

Handler = Callable[[Any], Awaitable[Any]]
CONCURRENT_REQUESTS = 1000  # per service and process; more are refused with `unavailable`


@dataclass(frozen=True)
class Service:
    """A micro service: its name, and the endpoints it answers. A handler raises `Refused` to refuse."""

    name: str
    description: str
    endpoints: Sequence[tuple[Endpoint[Any, Any], Handler]]
    metadata: Mapping[str, str] = field(default_factory=dict)


class Requests(Protocol):
    """Asks and answers. Both raise `Refused(unavailable)` when the broker cannot be asked."""

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """Ask, and wait for the answer. Raises the `Refused` of the service that answered.

        A `Command` without a deadline gets one: the time until which this waits.
        """

    async def serve(self, service: Service) -> None:
        """Answer these endpoints until the connection closes. Processes that serve the same service share the requests."""


def with_deadline(request: Request, until: float) -> Request:
    """The request; a command without a deadline gets `until` (Unix seconds), when its caller stops waiting."""
    if isinstance(request, Command) and request.deadline is None:
        return request.model_copy(update={"deadline": until})
    return request
