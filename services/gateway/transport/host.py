"""The port from a WebSocket to the server that has it."""

from typing import Protocol, TypeVar

from services.gateway.settings import GatewaySettings
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.guard import Guard
from services.gateway.transport.handshake import Rejection
from services.gateway.transport.listener import Listener
from services.gateway.transport.outbox import OutboxTotal

Connection = TypeVar("Connection", contravariant=True)


class Host(Protocol[Connection]):
    """What a connection needs from the server."""

    settings: GatewaySettings
    guard: Guard
    outboxes: OutboxTotal

    def admit(self, address: str, arrival: Arrival) -> Rejection | None:
        """Let a connection be a WebSocket, or reject it."""

    def opened(self, connection: Connection) -> Listener:
        """The handshake is done. Returns the listener of the connection's messages."""

    def gone(self, connection: Connection) -> None:
        """An admitted connection is gone."""
