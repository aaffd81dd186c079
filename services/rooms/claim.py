"""A claim on a mark: renewed while its owner works, whatever it works at, so that only a dead owner's claim is taken."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from shared.broker.log import Conflict
from shared.broker.marks import Marked, Marks
from shared.values.errors import Refused
from shared.values.position import Position

Result = TypeVar("Result")

BEAT_SECONDS = 4.0
CLAIM_SECONDS = 15.0  # without a move of the mark, after which its claim is nobody's


class Claim:
    """One claim. `body` is what the mark says of it, and nobody else's; `position` is where the mark is."""

    def __init__(self, marks: Marks, what: Marked, body: bytes) -> None:
        self._marks = marks
        self._what = what
        self._body = body
        self._done = asyncio.Event()
        self.position: Position

    async def take(self, after: Position) -> None:
        """Claim the mark, which is there. Raises Conflict when another was first."""
        self.position = await self._marks.write(self._what, self._body, after=after)

    async def hold(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do this work, renewing the claim. Raises Conflict when another has the mark now; the work is broken off then."""
        working, beating = asyncio.create_task(work, name="claimed"), asyncio.create_task(self._beat(), name="claim")
        try:
            await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
            self._done.set()
            if working.done():
                working.result()
            await beating  # not cancelled in the middle of a write: `position` would not be right
            return await working
        finally:
            for task in (working, beating):
                task.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)

    async def _beat(self) -> None:
        while not self._done.is_set():
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._done.wait()
            except TimeoutError:
                await self._renew()

    async def _renew(self) -> None:
        try:
            self.position = await self._marks.write(self._what, self._body, after=self.position)
        except (Refused, Conflict):
            try:
                mark = await self._marks.read(self._what)
            except Refused:
                return  # the next beat tries again
            if mark is None or mark.body != self._body or mark.position < self.position:
                raise Conflict from None
            self.position = mark.position  # it was stored, and the answer was lost
