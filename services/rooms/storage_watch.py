"""Looks at the broker's storage every second: keeps the reserve, tells gateways, shows it, and says when it changes."""

import asyncio
import shutil
from collections.abc import Sequence

import structlog
from prometheus_client import Gauge

from services.rooms.admission import Admission
from shared.broker.storage import Stock, Storage
from shared.rooms.reserve import Place, ReadReserve, Reserve, Thresholds
from shared.values import pauses
from shared.values.errors import Refused

log = structlog.get_logger()

SHARE = Gauge("parley_storage_share", "How full a place is in which everything is stored; 1 is full.", ["place"])
REFUSES = Gauge("parley_storage_refuses", "Whether the broker stores nothing until it is restarted.")

# Left on the disk whatever is stored: nats-server writes a block (8 MiB) anew when it compacts it, and two streams may
# do so at once.
SPARE_BYTES = 32 << 20


class StorageWatch:
    """`folder` is the broker's, if it is on this machine: then its disk is a place too."""

    def __init__(self, storage: Storage, admission: Admission, thresholds: Thresholds, folder: str | None) -> None:
        self._storage = storage
        self._admission = admission
        self._thresholds = thresholds
        self._folder = folder
        self._said: str | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, then every second in the background."""
        await self._look()
        self._running = asyncio.create_task(self._run(), name="storage")

    async def stop(self) -> None:
        """Look no more."""
        if self._running is not None:
            self._running.cancel()

    async def told(self, _request: ReadReserve) -> Reserve:
        """The answer to gateways."""
        return self._admission.reserve

    def notice(self) -> str | None:
        """What is worth a sentence at `/readyz`."""
        return self._admission.reserve.notice()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(pauses.STORAGE)
            await self._look()

    async def _look(self) -> None:
        try:
            stock = await self._storage.look()
        except Refused:
            return  # the last look counts until there is another; readiness says that the broker is away
        places = [*stock.places, *self._disk(stock)]
        for place in places:
            SHARE.labels(place.name).set(place.share)
        REFUSES.set(stock.refusal is not None)
        reserve = Reserve.of(places, self._thresholds, stock.refusal)
        self._admission.looked(reserve)
        self._say(reserve)

    def _disk(self, stock: Stock) -> Sequence[Place]:
        """The disk, as far as it is ours: what the broker keeps, of that and what it could still take."""
        if self._folder is None:
            return []
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return []  # not there yet
        used = max(1, stock.stored)
        return [Place("disk", used, used + max(0, free - SPARE_BYTES))]

    def _say(self, reserve: Reserve) -> None:
        """Once for each level that is entered, and once when all is well again."""
        notice = reserve.notice()
        level = notice and (reserve.refusal or notice.partition(": ")[2])
        if level == self._said:
            return
        self._said = level
        share = round(reserve.share(), 3)
        if notice is None:
            log.info("storage has space again", place=reserve.place, share=share)
        elif reserve.refusal is not None:
            log.error(
                "NATS stores nothing until it is restarted", why=reserve.refusal, place=reserve.place, share=share
            )
        else:
            log.warning("storage is running out", why=notice, place=reserve.place, used=reserve.used, size=reserve.size)
