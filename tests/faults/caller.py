"""A client that behaves as an SDK would: a belief and a cursor for every room, and what was not answered is asked again.

Everything it asks, is answered and hears goes into the ledger; so does every breach of the protocol it notices.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from pydantic_core import to_json

from tests.faults.belief import Belief, position
from tests.faults.ledger import SIGNALS, Asked, Heard, Ledger, Over, Shown
from tests.faults.link import Link
from tests.support.client import Message
from tests.support.operations import operation_of

REPLY_SECONDS = 60.0  # over all connections


class Lost(Exception):  # noqa: N818 - an outcome to act on
    """The session ended before the request was answered; what became of it, its sender never learns."""


class Caller:
    """One device of one agent."""

    def __init__(self, name: str, urls: Sequence[str], ledger: Ledger, chance: random.Random) -> None:
        self.name = name
        self.rooms: dict[str, Belief] = {}
        self.on_push: Callable[[Message], None] = lambda _push: None
        self.chance = chance
        self.sessions = 0
        self.ledger = ledger
        self.link = Link(name, urls, ledger, chance, self._receive, self._cursors)
        self._pending: dict[str, Asked] = {}
        self._wanted: dict[str, tuple[float, int]] = {}  # room -> since when, and what position, it wants a seat
        self._count = 0
        self._session_id = ""
        self._resuming: set[str] = set()

    # -- what a script says --------------------------------------------------------------------------------------------

    async def start(self, url: str | None = None) -> "Caller":
        """Connect and authenticate, to this gateway first."""
        await self.link.start(url)
        return self

    async def ask(self, type_: str, **fields: object) -> Message:
        """A request and its one reply, whatever happens to connections meanwhile. Raises Lost, TimeoutError."""
        self._count += 1
        asked = self._note(str(self._count), type_, fields)
        self._pending[asked.id] = asked
        self.link.send(asked.message)
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                return await asked.answer
        except TimeoutError:
            if self.link.online.is_set():
                trace = self.link.told(time.time() - 2 * REPLY_SECONDS)
                self.ledger.wrong.append(
                    f"{self.name}: {type_} {asked.id} had no reply in {REPLY_SECONDS:.0f} s: {trace}"
                )
            else:
                self.ledger.counts["requests given up while nobody could be reached"] += 1
            raise
        finally:
            self._pending.pop(asked.id, None)

    async def insist(self, type_: str, *, seconds: float = 60.0, **fields: object) -> Message:
        """Ask again for as long as the answer says that this is of use, or the session is another. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        attempt = 0
        while True:
            try:
                reply = await self.ask(type_, **fields)
                if reply["type"] != "error" or not reply["retryable"] or time.monotonic() > deadline:
                    return reply
            except Lost:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
            await asyncio.sleep(self.chance.uniform(0.05, min(2.0, 0.2 * 2**attempt)))
            attempt += 1

    def stop(self) -> None:
        """Close the connection and never come back: after the grace time it is out of its rooms."""
        self.link.end()
        if self.link.wire is not None:
            self.link.wire.close()

    def vanish(self) -> None:
        """As `stop`, without a word."""
        self.link.end()
        if self.link.wire is not None:
            self.link.wire.abort()

    @property
    def alive(self) -> bool:
        """Whether it means to be there."""
        return not self.link.stopped

    def _note(self, id_: str, type_: str, fields: dict[str, object]) -> Asked:
        now = time.time()
        room_id = str(fields.get("roomId", ""))
        belief = self.rooms.get(room_id)
        began = now, self.ledger.known.get(room_id, 0)
        if type_ == "join_room":  # asked again, an earlier try may be what got the seat
            began = self._wanted.setdefault(room_id, began)
        message: Message = {"type": type_, "id": id_, **fields}
        asked = Asked(
            caller=self.name,
            id=id_,
            type=type_,
            message=message,
            room_id=room_id,
            stay=belief.own if belief else None,
            began=began[0],
            known=began[1],
            answer=asyncio.get_running_loop().create_future(),
            operation=operation_of(self._session_id, id_, to_json(message)),
        )
        self.ledger.note(asked)
        if type_ in SIGNALS and belief is not None:
            self.ledger.signal(asked, belief.own, str(fields["to"]))
        return asked

    def _cursors(self) -> dict[str, str]:
        return {room_id: belief.cursor for room_id, belief in self.rooms.items()}

    # -- what comes ----------------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        try:
            if message["type"] == "auth_ok":
                self._authenticated(message)
            elif "id" in message:
                self._reply(message)
            elif "roomId" in message:
                self._push(message)
            elif message.get("code") == "not_in_room" and message["details"].get("roomId") in self.rooms:
                self._over(self.rooms[message["details"]["roomId"]], "not_in_room")
                self._back()
        except AssertionError as violated:
            self.ledger.wrong.append(f"{self.name}: {violated}")

    def _authenticated(self, message: Message) -> None:
        self._session_id = message["sessionId"]
        if message["resumed"]:
            self._resuming = set(self.rooms)
            for asked in list(self._pending.values()):
                self.link.send(asked.message)
        else:
            self._begin()
        self._back()

    def _begin(self) -> None:
        """A session from the beginning; of the one before nothing is left."""
        for belief in list(self.rooms.values()):
            self._over(belief, "session lost")
        self.ledger.counts["sessions lost"] += bool(self.sessions)
        self.sessions += 1
        for asked in self._pending.values():
            if not asked.answer.done():
                asked.answer.set_exception(Lost(asked.type))

    def _back(self) -> None:
        """Everything missed is here: the gap is over."""
        if not self._resuming and self.link.lost_at is not None:
            self.ledger.gaps.append(time.monotonic() - self.link.lost_at)
            self.link.lost_at = None

    def _over(self, belief: Belief, reason: str) -> None:
        self.rooms.pop(belief.room_id, None)
        self._resuming.discard(belief.room_id)
        self.ledger.over.append(Over(self.name, belief.room_id, belief.own, reason, time.time()))

    def _reply(self, message: Message) -> None:
        asked = self._pending.get(message["id"])
        assert asked is not None, f"a reply to nothing: {message['type']} {message['id']}"
        left = message["type"] == "ok" or message.get("code") == "not_in_room"
        if message["type"] == "room_users":
            self._room_users(message)
            self._wanted.pop(asked.room_id, None)
        elif asked.type == "leave_room" and left and asked.room_id in self.rooms:
            self._over(self.rooms[asked.room_id], "left")
        self.ledger.answered(asked, message)

    def _room_users(self, message: Message) -> None:
        room_id = message["roomId"]
        self.ledger.shown.append(Shown(self.name, message))
        self.ledger.sees(room_id, position(message["cursor"])[0])
        belief = self.rooms.get(room_id)
        if message.get("recovered") is False:
            assert belief is not None, f"{room_id} came back, where it was not"
            self.ledger.counts["rooms not recovered"] += 1
            self.ledger.unrecovered[belief.own] = time.time()
            belief.anew(message)
        elif belief is None:
            self.rooms[room_id] = Belief(message)
        else:
            belief.shown(message)

    def _push(self, message: Message) -> None:
        room_id, kind = message["roomId"], message["type"]
        belief = self.rooms.get(room_id)
        if kind == "room_users":
            return self._room_users(message)
        assert belief is not None, f"{kind} of {room_id}, where it is not"
        if kind == "room_resumed":
            self._resuming.discard(room_id)
            belief.resumed(message)
            return self._back()
        self.ledger.sees(room_id, position(message["cursor"])[0])
        itself = kind == "user_left" and message["participantId"] == belief.own
        if not (itself and room_id in self._resuming):  # that one comes alone, without what was before it
            belief.take(message)
        if itself:
            self._over(belief, message["reason"])
            self._back()
        elif kind in SIGNALS:
            self.ledger.heard.append(Heard(message["negotiation"], belief.own, room_id, message))
        return self.on_push(message)
