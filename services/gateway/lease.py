"""The gateway's lease, which the broker holds and the gateway renews. It tells rooms that the gateway is alive.

A gateway that cannot renew it in time fences itself before rooms may give its participants' seats away. Then it takes a
new lease under another id.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from services.gateway import metrics
from services.gateway.held_lease import HeldLease, LeaseEnded
from shared.broker.leases import Leases
from shared.values import pauses
from shared.values.errors import Refused, unavailable
from shared.values.ids import GatewayId, LeaseName, mint

log = structlog.get_logger()

# Parts of the lease's length. With 8 s: the gateway renews every 2 s, a renewal may take 1.5 s, and the gateway fences
# itself 5 s after it sent the last renewal that was acknowledged.
RENEW = 2 / 8
PATIENCE = 1.5 / 8
FENCE = 5 / 8
RENEW_SECONDS = 4.0  # at most, however long the lease is: rooms waits so long for leases that the broker lost


class Lease:
    """`clock` gives Unix seconds (for the broker), `chance(n)` gives n random bytes.

    The lease calls `lost` when it fences itself, and `recovered` when a renewal succeeds after one failed.
    """

    def __init__(
        self, leases: Leases, seconds: float, clock: Callable[[], float], chance: Callable[[int], bytes]
    ) -> None:
        self.gateway = GatewayId("")  # this gateway's id in the log; a new one after each loss
        self.lost: Callable[[], None] = _nobody_cares
        self.recovered: Callable[[], None] = _nobody_cares
        self._leases = leases
        self._seconds = seconds
        self._clock = clock
        self._chance = chance
        self._lease: HeldLease | None = None
        self._fence_at = 0.0
        self._fencing: asyncio.TimerHandle | None = None
        self._acquired = asyncio.Event()

    @property
    def held(self) -> bool:
        """Whether the gateway may speak for its participants. Reads the clock: a process that was stopped ran no timer."""
        return self._acquired.is_set() and asyncio.get_running_loop().time() < self._fence_at

    async def check(self) -> None:
        """For readiness: raises Refused when the lease is not held."""
        if not self.held:
            raise unavailable("the broker, which holds this gateway's lease,")

    async def acquired(self) -> None:
        """Wait until the lease is held."""
        await self._acquired.wait()

    async def run(self) -> None:
        """Take a lease, renew it, and take another one when it is lost. Runs until cancelled."""
        while True:
            held = HeldLease(self._leases, LeaseName(mint("", self._chance(16))))
            if await self._renew(held):
                self.gateway, self._lease = held.gateway, held
                self._acquired.set()
                metrics.LEASE_HELD.set(1)
                await self._keep(held)
            else:
                await asyncio.sleep(pauses.BROKER)

    async def _keep(self, held: HeldLease) -> None:
        renewed = True
        while self.held:
            await asyncio.sleep(min(self._seconds * RENEW, RENEW_SECONDS) if renewed else pauses.BROKER)
            if not self.held:
                break
            before, renewed = renewed, await self._renew(held)
            if renewed and not before:
                self.recovered()
        self._fence()

    async def _renew(self, held: HeldLease) -> bool:
        """Renew once; whether that was acknowledged. Fences when the lease has ended."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        try:
            async with asyncio.timeout(self._seconds * PATIENCE):
                await held.renew(self._clock() + self._seconds, sent)
        except LeaseEnded:
            self._fence()
            return False
        except (Refused, TimeoutError):
            metrics.LEASE_FAILURES.inc()
            return False
        if self._fencing is not None:
            self._fencing.cancel()
        self._fence_at = sent + self._seconds * FENCE
        self._fencing = loop.call_at(self._fence_at, self._fence)
        return True

    async def end(self) -> None:
        """The gateway stops, and nobody is on it any more: end the lease now, so that it does not count as lost.

        Whoever cancelled `run` calls this. If the broker does not take it, the lease ends by itself.
        """
        held, self._acquired = self.held, asyncio.Event()
        if self._fencing is not None:
            self._fencing.cancel()
        metrics.LEASE_HELD.set(0)
        if held and self._lease is not None:
            with contextlib.suppress(Refused, TimeoutError):
                async with asyncio.timeout(self._seconds * PATIENCE):
                    await self._lease.end(self._clock())

    def _fence(self) -> None:
        """Give the lease up and call `lost`, once for each lease."""
        if self._fencing is not None:
            self._fencing.cancel()
        self._fence_at = 0.0
        if self._acquired.is_set():
            self._acquired.clear()
            metrics.LEASE_HELD.set(0)
            log.warning("lease lost: the broker could not be asked in time", gateway=self.gateway)
            self.lost()


def _nobody_cares() -> None:
    """The callbacks until the server sets its own."""
