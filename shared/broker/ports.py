"""One process's ports to the broker, all over one connection. A part of a service is given the ones that it needs."""

from dataclasses import dataclass
from typing import Protocol

from shared.broker.requests import Requests
from shared.broker.room_log import RoomsLog
from shared.broker.room_notes import RoomNotes
from shared.broker.signals import Signals
from shared.broker.snapshots import Snapshots
from shared.broker.timers import Timers


class Connection(Protocol):
    """What all ports of a process stand on."""

    async def check(self) -> None:
        """Prove that the broker answers and stores now (for readiness). Raises `Refused(unavailable)`."""

    async def close(self) -> None:
        """Finish what is being answered, then disconnect."""


class HasRequests(Protocol):
    """All that auth needs of its ports, and all that it has a right to."""

    @property
    def requests(self) -> Requests:
        """To ask and to answer."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Made by an adapter, over its `connection`."""

    connection: Connection
    requests: Requests
    room_log: RoomsLog
    signals: Signals
    timers: Timers
    notes: RoomNotes
    snapshots: Snapshots
