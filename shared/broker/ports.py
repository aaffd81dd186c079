"""One process's ports to the broker, all over one connection. Each part of a service gets only the ports it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.broker.leases import Leases
from shared.broker.marks import Marks
from shared.broker.requests import Requests
from shared.broker.room_log import RoomsLog
from shared.broker.room_notes import RoomNotes
from shared.broker.signals import Signals
from shared.broker.snapshots import Snapshots
from shared.broker.storage import Storage
from shared.broker.timers import Timers
from shared.broker.watch import Watch


class Connection(Protocol):
    """The connection that all ports of a process share."""

    async def check(self) -> None:
        """For readiness: raises `Refused(unavailable)` unless the broker answers and stores now."""

    async def close(self) -> None:
        """Finish the requests that are being answered, then disconnect."""


class HasRequests(Protocol):
    """The part of the ports that auth uses, and has permissions for."""

    @property
    def requests(self) -> Requests:
        """The port for asking and answering."""

    @property
    def clock(self) -> Callable[[], float]:
        """The broker's time (Unix seconds), which all processes share."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of a process. An adapter makes them over its `connection`."""

    connection: Connection
    requests: Requests
    room_log: RoomsLog
    signals: Signals
    timers: Timers
    leases: Leases
    marks: Marks
    notes: RoomNotes
    snapshots: Snapshots
    storage: Storage
    watch: Watch
    clock: Callable[[], float]  # the broker's time (Unix seconds), which all processes share
