"""What a simulated client does: joins and leaves, sends signals, loses its connection, resumes elsewhere."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from shared.auth.commands import IssueJoinToken
from shared.broker.subjects import CLOSE_ROOM, UPDATE_ROOM
from shared.rooms.commands import Caller, CloseRoom, UpdateRoom
from shared.values.errors import Refused
from shared.values.ids import AgentId, RoomId
from tests.simulation.checks import AGAIN
from tests.simulation.client import Client
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Message
from tests.support.sdp import answer, candidate, offer

OWNER = Caller(agent_id=AgentId("owner"), name="Owner", permissions=frozenset({"rooms:create", "rooms:join"}))
REPLY_SECONDS = 60.0
PAUSE_SECONDS = 0.3
EXPECTED = frozenset({"unavailable", "room_full", "room_closed", "bad_state", "not_in_room", "participant_not_found"})
# Expected for a join: its token was consumed by an earlier attempt whose answer was lost, and whose seat timed out.
SPENT = frozenset({"forbidden"})
DESCRIPTIONS = {"offer": offer(), "answer": answer()}


class Actor:
    """Decides what one client does next. `rooms` maps each room's id to whether it needs a join token."""

    def __init__(self, client: Client, cluster: Cluster, rooms: dict[str, bool]) -> None:
        self.client = client
        self.done = 0
        self._cluster = cluster
        self._rooms = rooms
        self._chance = client.network.chance
        self._turn = 0
        self._deeds: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._join, 30),
            (self._signal, 40),
            (self._update, 20),
            (self._leave, 6),
            (self._look, 4),
            (self._drop, 12),
            (self._move, 6),
            (self._stall, 2),
            (self._reload, 2),
            (self._manage, 1),
        ]

    async def act(self, over: asyncio.Event) -> None:
        """Do one random thing after another, until `over` is set."""
        deeds, weights = zip(*self._deeds, strict=True)
        while not over.is_set():
            await asyncio.sleep(self._chance.expovariate(1 / PAUSE_SECONDS))
            if self.client.ready.is_set() and not over.is_set():
                self.done += 1
                await self._chance.choices(deeds, weights)[0]()

    async def _told(
        self, answered: "asyncio.Future[Message | None]", also: frozenset[str] = frozenset()
    ) -> Message | None:
        """Wait for the answer. A client that stays connected must get one."""
        socket = self.client.socket
        await asyncio.wait({answered}, timeout=REPLY_SECONDS)
        if not answered.done():
            if self.client.socket is socket:
                self.client.network.blame(f"{self.client.name} was not answered in {REPLY_SECONDS} s")
            return None
        reply = answered.result()
        if reply is not None and reply["type"] == "error" and reply["code"] not in EXPECTED | also:
            self.client.network.blame(f"{self.client.name} was told {reply}")
        return reply

    def _somewhere(self) -> str | None:
        """A room it is in."""
        return self._chance.choice(list(self.client.views)) if self.client.views else None

    async def _join(self) -> None:
        absent = [room_id for room_id in self._rooms if room_id not in self.client.views]
        if not absent:
            return
        room_id = self._chance.choice(absent)
        self._turn += 1
        fields: dict[str, Any] = {"name": f"{self.client.name} {self._turn}"}
        if self._rooms[room_id]:
            fields["token"] = await self._grant(room_id)
        reply = await self._told(self.client.ask("join_room", room_id, **fields), SPENT)
        if reply is not None and reply.get("code") == "unavailable":  # asking again is safe
            await asyncio.sleep(self._chance.uniform(0.0, 2.0))
            if self.client.ready.is_set() and room_id not in self.client.views:
                fields["name"] += AGAIN
                await self._told(self.client.ask("join_room", room_id, **fields), SPENT)

    async def _grant(self, room_id: str) -> str:
        handlers = self._cluster.auth_handlers
        if handlers is None:
            raise ValueError("auth has been started")
        order = IssueJoinToken(room_id=RoomId(room_id), agent_id=AgentId(self.client.name), ttl=3000)
        return (await handlers.issue_join_token(order)).token

    async def _leave(self) -> None:
        room_id = self._somewhere()
        if room_id is not None:
            await self._told(self.client.ask("leave_room", room_id))

    async def _update(self) -> None:
        room_id = self._somewhere()
        if room_id is None:
            return
        asked = []
        for _ in range(self._chance.choice((1, 1, 2, 4))):  # several at once are stored together
            self._turn += 1
            asked.append(self.client.ask("update_self", room_id, metadata={"turn": self._turn}))
        for answered in asked:
            await self._told(answered)

    async def _look(self) -> None:
        room_id = self._somewhere()
        if room_id is not None:
            await self._told(self.client.ask("get_room", room_id))

    async def _signal(self) -> None:
        """Send a description and some candidates, without waiting in between."""
        room_id = self._somewhere()
        view = self.client.views[room_id] if room_id is not None else None
        others = [p for p in view.participants if p != view.own] if view else []
        if room_id is None or not others:
            return
        to = self._chance.choice(others)
        asked = []
        for n in range(self._chance.randint(1, 4)):
            if n == 0 and self._chance.random() < 0.7:
                type_ = self._chance.choice(list(DESCRIPTIONS))
                fields: dict[str, Any] = {"sdp": DESCRIPTIONS[type_]}
            else:
                type_, fields = "candidate", {"candidate": candidate()}
            marker = self.client.next_id()
            asked.append(self.client.ask(type_, room_id, to=to, negotiation=marker, **fields))
        for answered in asked:
            await self._told(answered)

    async def _drop(self) -> None:
        self.client.away = self._chance.choice((0.1, 0.5, 2.0, 2.0, 6.0, 15.0, 28.0, 31.0, 45.0))
        self.client.hang_up(silently=self._chance.random() < 0.3)

    async def _move(self) -> None:
        self.client.move()

    async def _reload(self) -> None:
        self.client.reload()

    async def _stall(self) -> None:
        if self.client.socket is not None:
            self.client.socket.stall(self._chance.choice((0.5, 3.0, 12.0)))

    async def _manage(self) -> None:
        """Update or close a room, as its owner does by REST."""
        gateway = self._cluster.gateway()
        if gateway is None:
            return
        self._turn += 1
        room_id = RoomId(self._chance.choice(list(self._rooms)))
        operation = f"{self.client.name} {self._turn}"
        with contextlib.suppress(Refused, asyncio.CancelledError):
            if self._chance.random() < 0.2:
                close = CloseRoom(caller=OWNER, operation=operation, room_id=room_id)
                await gateway.process.spawn(gateway.ports.requests.request(CLOSE_ROOM, close))
            else:
                seats = self._chance.randint(2, 8)
                update = UpdateRoom(caller=OWNER, operation=operation, room_id=room_id, max_participants=seats)
                await gateway.process.spawn(gateway.ports.requests.request(UPDATE_ROOM, update))
