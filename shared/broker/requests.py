"""The port for asking and answering: an endpoint is asked, one process of the service that serves it answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from shared.broker.subjects import Endpoint
from shared.rooms.commands import Command
from shared.values.model import Tolerant

Request = TypeVar("Request", bound=Tolerant)
Reply = TypeVar("Reply", bound=Tolerant)

Handler = Callable[[Any], Awaitable[Any]]
CONCURRENT_REQUESTS = 1000  # per service and process; one more is refused with `unavailable`


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

        A `Command` without a deadline gets the time until which this waits.
        """

    async def serve(self, service: Service) -> None:
        """Answer these endpoints, sharing them with other processes of the same name, until the connection closes."""


def with_deadline(request: Request, until: float) -> Request:
    """A command has to happen before whoever asked stops waiting. `until` is Unix seconds."""
    if isinstance(request, Command) and request.deadline is None:
        return request.model_copy(update={"deadline": until})
    return request
