"""A lease that this gateway holds: how it is renewed, and how the gateway tells an ended lease from a lost one.

The gateway may not read where leases are held. A refused renewal says what position the lease has. If it has none, it
has ended, or the broker lost it. The mark beside it tells which: it stays when the lease ends.
"""

import structlog

from shared.broker.leases import Leases
from shared.broker.log import Conflict
from shared.values.errors import unavailable
from shared.values.ids import LeaseName, gateway_of
from shared.values.position import NOWHERE, Position

log = structlog.get_logger()

MARK_SECONDS = 6 * 3600.0  # after which the mark is left anew; the broker keeps it for a day


class LeaseEnded(Exception):  # noqa: N818 - an outcome to act on, not a failure
    """The lease was not renewed in time: rooms gives the gateway's seats away."""


class HeldLease:
    """One lease. Nobody else knows its name."""

    def __init__(self, leases: Leases, name: LeaseName) -> None:
        self.gateway = gateway_of(name)
        self._leases = leases
        self._name = name
        self._position = NOWHERE
        self._mark: Position | None = NOWHERE  # None: it was being looked at, and nobody knows what came of it
        self._mark_due = 0.0

    async def renew(self, due: float, now: float) -> None:
        """Arm it until `due` (Unix seconds). `now` is in seconds that only go forward.

        Raises LeaseEnded, and `Refused(unavailable)`, after which the renewal may be stored. Then the next one finds it.
        """
        if self._mark == NOWHERE or now >= self._mark_due:
            self._mark = await self._leases.mark(self._name, after=None)
            self._mark_due = now + MARK_SECONDS
        try:
            self._position = await self._leases.arm(self._name, due, after=self._position)
            return
        except Conflict as conflict:
            found = conflict.last
        if found is None:  # another append was under way; the next conflict says more
            raise unavailable("the leases")
        if found == NOWHERE:
            await self._check_lost()
        await self._arm_anew(due, found)

    async def end(self, now: float) -> None:
        """End it at `now` (Unix seconds): its gateway stops. Raises `Refused(unavailable)`."""
        for _ in range(2):  # the first conflict says where a renewal is that was not acknowledged
            try:
                self._position = await self._leases.arm(self._name, now, after=self._position, stopped=True)
                return
            except Conflict as conflict:
                if not conflict.last:
                    return  # it has ended
                self._position = conflict.last

    async def _arm_anew(self, due: float, after: Position) -> None:
        """On our own renewal that was not acknowledged, or where the lease was lost."""
        self._position = after
        if self._mark == NOWHERE:
            self._mark = await self._leases.mark(self._name, after=None)
        try:
            self._position = await self._leases.arm(self._name, due, after=after)
        except Conflict:
            raise unavailable("the leases") from None

    async def _check_lost(self) -> None:
        """Raises LeaseEnded if the mark is where it was left, or when that cannot be told any more."""
        mark, self._mark = self._mark, None
        if mark is None:
            raise LeaseEnded
        try:
            self._mark = await self._leases.mark(self._name, after=mark)
        except Conflict:
            log.warning("the broker lost this gateway's lease; it is armed anew", gateway=self.gateway)
            self._mark = NOWHERE
            return
        raise LeaseEnded
