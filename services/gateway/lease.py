"""The gateway's lease: what tells rooms that its participants still have a connection; held by the broker, renewed here.

Whoever cannot renew in time must not go on as if nothing were: it fences itself before rooms may give its participants'
seats away, and begins again under another id.
"""

import asyncio
from collections.abc import Callable

import structlog

from services.gateway import metrics
from shared.broker.log import Conflict
from shared.broker.timers import Timers
from shared.rooms.timers import LeaseEnds
from shared.values import pauses
from shared.values.errors import Refused, unavailable
from shared.values.ids import GatewayId, mint
from shared.values.position import NOWHERE, Position

log = structlog.get_logger()

# Parts of the lease's length: with 8 s it is renewed every 2 s, each renewal may take 1.5 s, and 5 s after the sending of
# the last one that was acknowledged the gateway fences itself.
RENEW = 2 / 8
PATIENCE = 1.5 / 8
FENCE = 5 / 8


class Lease:
    """`clock` is Unix seconds (for the broker), `chance(n)` gives n random bytes. `lost` is called when it fences itself, `recovered`
    when the broker answers again after it did not.
    """

    def __init__(
        self, timers: Timers, seconds: float, clock: Callable[[], float], chance: Callable[[int], bytes]
    ) -> None:
        self.gateway = GatewayId("")  # whose participants are here; another one after each loss
        self.lost: Callable[[], None] = _nobody_cares
        self.recovered: Callable[[], None] = _nobody_cares
        self._timers = timers
        self._seconds = seconds
        self._clock = clock
        self._chance = chance
        self._position = NOWHERE
        self._fence_at = 0.0
        self._fencing: asyncio.TimerHandle | None = None
        self._acquired = asyncio.Event()

    @property
    def held(self) -> bool:
        """Whether the gateway may speak for its participants. Asks the clock, which a stopped process cannot outrun."""
        return self._acquired.is_set() and asyncio.get_running_loop().time() < self._fence_at

    async def check(self) -> None:
        """For readiness. Raises Refused."""
        if not self.held:
            raise unavailable("the broker, which holds this gateway's lease,")

    async def acquired(self) -> None:
        """Wait until it is held."""
        await self._acquired.wait()

    async def run(self) -> None:
        """Take it, keep it, and take another one when it is lost; until cancelled."""
        while True:
            gateway = GatewayId(mint("g_", self._chance(9)))
            if await self._renew(gateway, NOWHERE):
                self.gateway = gateway
                self._acquired.set()
                metrics.LEASE_HELD.set(1)
                await self._keep()
            else:
                await asyncio.sleep(pauses.BROKER)

    async def _keep(self) -> None:
        renewed = True
        while self.held:
            await asyncio.sleep(self._seconds * RENEW if renewed else pauses.BROKER)
            if not self.held:
                break
            before, renewed = renewed, await self._renew(self.gateway, self._position)
            if renewed and not before:
                self.recovered()
        self._fence()

    async def _renew(self, gateway: GatewayId, position: Position) -> bool:
        """Once. A renewal without an answer may have been stored: then the next one finds it in its place."""
        loop = asyncio.get_running_loop()
        sent = loop.time()
        timer = LeaseEnds(due=self._clock() + self._seconds, gateway=gateway)
        try:
            async with asyncio.timeout(self._seconds * PATIENCE):
                try:
                    self._position = await self._timers.arm(timer, after=position)
                except Conflict:
                    await self._look(timer)
                    return False
        except (Refused, TimeoutError):
            metrics.LEASE_FAILURES.inc()
            return False
        if self._fencing is not None:
            self._fencing.cancel()
        self._fence_at = sent + self._seconds * FENCE
        self._fencing = loop.call_at(self._fence_at, self._fence)
        return True

    async def _look(self, timer: LeaseEnds) -> None:
        """What is there in place of what we knew: a renewal of ours, or nothing, when the lease has ended."""
        found = await self._timers.armed(timer)
        if found is None:
            self._fence()
        else:
            self._position = found

    def _fence(self) -> None:
        """Once for each lease."""
        if self._fencing is not None:
            self._fencing.cancel()
        self._fence_at = 0.0
        if self._acquired.is_set():
            self._acquired.clear()
            metrics.LEASE_HELD.set(0)
            log.warning("lease lost: the broker could not be asked in time", gateway=self.gateway)
            self.lost()


def _nobody_cares() -> None:
    """Until the server says what is to be done."""
