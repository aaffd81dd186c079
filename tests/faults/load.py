"""What callers do while things break: come into rooms, call each other, change themselves, leave, and again."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Sequence
from typing import Any

from tests.faults.caller import Caller, Lost
from tests.faults.ledger import Ledger
from tests.support.client import Message
from tests.support.sdp import answer, candidate, offer

AT_ONCE = 50  # connections being opened at the same time

_markers = itertools.count(1)


def marker() -> str:
    """A name no other signal or change has."""
    return f"m{next(_markers)}"


def description(kind: str, mark: str) -> str:
    """A valid description that differs from every other one."""
    return f"{offer() if kind == 'offer' else answer()}a=x-mark:{mark}\r\n"


async def send(caller: Caller, room_id: str, kind: str, to: str, **fields: Any) -> Message | None:
    """Send a signal; its reply, or None if nobody will ever know. It is not sent again: that is for a new negotiation."""
    if room_id not in caller.rooms:
        return None
    with contextlib.suppress(Lost, TimeoutError):
        return await caller.ask(kind, roomId=room_id, to=to, **{"negotiation": marker(), **fields})
    return None


async def signal(caller: Caller, room_id: str, kind: str, to: str) -> Message | None:
    """Send one of the samples."""
    mark = marker()
    fields: dict[str, Any] = {"candidate": candidate()} if kind == "candidate" else {"sdp": description(kind, mark)}
    return await send(caller, room_id, kind, to, negotiation=mark, **fields)


class Life:
    """What one caller does until it is told to stop. It answers every offer."""

    def __init__(self, caller: Caller, rooms: Sequence[str], pause: float, stay: tuple[int, int] = (2, 6)) -> None:
        self.caller = caller
        self._rooms = rooms
        self._pause = pause
        self._stay = stay
        self._answering: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        caller.on_push = self._hear

    def _hear(self, push: Message) -> None:
        if push["type"] == "offer" and not self._stop.is_set():
            task = asyncio.create_task(self._answer(push["roomId"], push["from"]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, room_id: str, to: str) -> None:
        for kind in ("answer", "candidate", "candidate"):
            await signal(self.caller, room_id, kind, to)

    async def live(self) -> None:
        """Until `stop`. It stays in the room it is in then."""
        while not self._stop.is_set():
            room_id = self.caller.chance.choice(self._rooms)
            with contextlib.suppress(TimeoutError):
                reply = await self.caller.insist("join_room", roomId=room_id)
                if reply["type"] == "error":
                    await self._rest()
                    continue
                await self._be_in(room_id)
        await asyncio.gather(*self._answering)

    async def _be_in(self, room_id: str) -> None:
        for _ in range(self.caller.chance.randint(*self._stay)):
            await self._rest()
            if self._stop.is_set():
                return
            await self.act(room_id)
        if self.caller.rooms:
            await self.caller.insist("leave_room", roomId=room_id)

    async def act(self, room_id: str) -> None:
        """Something one does in a room."""
        belief = self.caller.rooms.get(room_id)
        if belief is None:
            return
        others = [pid for pid in belief.view.participants if pid != belief.own]
        if others and self.caller.chance.random() < 0.7:
            to = self.caller.chance.choice(others)
            for kind in ("offer", "candidate", "candidate"):
                await signal(self.caller, room_id, kind, to)
        else:
            await self._change(room_id, self.caller.chance.choice((1, 1, 3)))

    async def _change(self, room_id: str, times: int) -> None:
        """Change something of oneself, several times at once: together they are one entry."""
        asked = (self.caller.ask("update_self", roomId=room_id, metadata={"mark": marker()}) for _ in range(times))
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            # What was refused is not asked again: it must not happen later.
            if isinstance(outcome, BaseException) and not isinstance(outcome, Lost | TimeoutError):
                raise outcome

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.caller.chance.uniform(0.5, 1.5) * self._pause):
                await self._stop.wait()

    def stop(self) -> None:
        """After what is under way."""
        self._stop.set()


class Load:
    """Callers and their lives."""

    def __init__(self, ledger: Ledger, chance: random.Random, urls: Sequence[str]) -> None:
        self.ledger = ledger
        self.callers: list[Caller] = []
        self._chance = chance
        self._urls = urls
        self._lives: list[Life] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(
        self, count: int, *, urls: Sequence[str] | None = None, prefix: str = "agent", buffer: int | None = None
    ) -> list[Caller]:
        """More callers, connected; spread over the gateways, or over these alone at first. `buffer`: see Wire.open."""
        turn = asyncio.Semaphore(AT_ONCE)
        first = urls or self._urls

        async def one(n: int) -> Caller:
            caller = Caller(f"{prefix}-{n}", self._urls, self.ledger, random.Random(self._chance.random()))
            caller.link.buffer = buffer
            async with turn:
                return await caller.start(first[n % len(first)])

        callers = list(await asyncio.gather(*(one(len(self.callers) + n) for n in range(count))))
        self.callers += callers
        return callers

    def live(self, callers: Sequence[Caller], rooms: Sequence[str], pause: float, stay: tuple[int, int]) -> None:
        """Let them live, in the background."""
        for caller in callers:
            life = Life(caller, rooms, pause, stay)
            self._lives.append(life)
            self._tasks.append(asyncio.create_task(life.live()))

    async def rest(self) -> None:
        """End all lives, each after what is under way; the callers stay connected, and in the rooms they are in."""
        for life in self._lives:
            life.stop()
        await asyncio.gather(*self._tasks)
        self._lives, self._tasks = [], []

    async def close(self) -> None:
        """Everybody goes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for caller in self.callers:
            caller.stop()
        await asyncio.sleep(0)
