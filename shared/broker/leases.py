"""The port for gateways' leases: the broker holds each until it is due, unless its gateway renews it.

Only its holder knows a lease's name. The log has a fingerprint of it: the gateway's id. Who knows the id can neither
renew the lease nor end it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.broker.following import Following
from shared.rooms.timers import LeaseEnds
from shared.values.ids import GatewayId, LeaseName
from shared.values.position import Position

LeaseHandler = Callable[[LeaseEnds], Awaitable[None]]


class Leases(Protocol):
    """Holds leases. Every method raises `Refused(unavailable)` when the broker cannot answer."""

    async def arm(self, name: LeaseName, due: float, *, after: Position, stopped: bool = False) -> Position:
        """Have the broker hold the lease until `due` (Unix seconds), if `after` is its position there (NOWHERE: none).

        `stopped`: its gateway says by this that it stops. Raises Conflict when `after` is not its position. The conflict
        says which one it has.
        """

    async def mark(self, name: LeaseName, *, after: Position | None) -> Position:
        """Leave a mark beside the lease, which stays when the lease ends and is lost when the leases are lost.

        With `after`, only if the mark has this position. Raises Conflict when it has not.
        """

    async def take(self, handle: LeaseHandler, retry_seconds: float) -> Following:
        """Pass the end of every lease to `handle`, in one of the processes that take them. See Timers.take."""

    async def alive(self) -> frozenset[GatewayId]:
        """The gateways whose lease waits now."""
