"""What a session says and hears: requests and their answers, rooms and their pushes, whatever the connection does."""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any

from parley.early_signals import SIGNALS
from parley.errors import CLOSED, NOT_IN_ROOM, PARTICIPANT_NOT_FOUND, ParleyError, closed
from parley.events import Closed, Left, Refused, SessionEvent, StateChanged
from parley.feed import Feed
from parley.profile import Profile
from parley.requests import Request, Requests
from parley.room import Room
from parley.transport.backoff import Backoff
from parley.transport.connection import Message
from parley.transport.link import Link

logger = logging.getLogger(__name__)

CONNECTING, CONNECTED, RECONNECTING, OVER = "connecting", "connected", "reconnecting", "closed"


class SessionCore:
    """The state of a session (the `Owner` of its link)."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.state = CONNECTING
        self.agent_id = ""
        self.session_id = ""
        self.limits: dict[str, int] = {}
        self.rooms: dict[str, Room] = {}
        self.feed: Feed[SessionEvent] = Feed()
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._resume_token: str | None = None
        self._requests = Requests()
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._entering: dict[str, Profile] = {}  # by the id of the join_room
        self._unwanted: set[str] = set()  # joins that were given up after they were sent
        self._rejoining: dict[str, asyncio.Task[None]] = {}

    # What programs and rooms ask.

    async def enter(self, profile: Profile) -> Room:
        """Join a room. Raises ParleyError."""
        fields = await profile.fields()
        request, answer = self._post("join_room", fields)
        self._entering[request.id] = profile
        await self._outcome(request, answer)
        return self.rooms[profile.room_id]

    async def ask(self, type_: str, fields: Mapping[str, Any]) -> Message:
        """Ask, now or when there is a connection again; the reply. Raises the ParleyError that came instead."""
        return await self._outcome(*self._post(type_, fields))

    async def farewell(self) -> None:
        """Leave every room, also those that a join which nobody waits for any more is about to enter."""
        leaving = [room.leave() for room in self.rooms.values()]
        entering = [one for one in self._requests.waiting() if one.type == "join_room" and one.sent]
        given_up = [self.ask("leave_room", {"roomId": one.room_id}) for one in entering]
        await asyncio.gather(*leaving, *given_up, return_exceptions=True)

    def forget(self, room: Room) -> None:
        """We are not in it any more."""
        if self.rooms.get(room.id) is room:
            del self.rooms[room.id]
        rejoining = self._rejoining.pop(room.id, None)
        if rejoining is not None and rejoining is not asyncio.current_task():
            rejoining.cancel()

    def _post(self, type_: str, fields: Mapping[str, Any]) -> tuple[Request, "asyncio.Future[Message]"]:
        if self.state == OVER:
            raise closed()
        request = self._requests.add(type_, fields)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[request.id] = answer
        self._send(request)
        return request, answer

    def _send(self, request: Request) -> None:
        if self.state == CONNECTED and self.link is not None and self.link.send(request.text):
            request.sent = True

    async def _outcome(self, request: Request, answer: "asyncio.Future[Message]") -> Message:
        try:
            return await answer
        except asyncio.CancelledError:
            self._answers.pop(request.id, None)
            if self._requests.withdraw(request):
                self._entering.pop(request.id, None)
            elif request.type == "join_room":
                self._unwanted.add(request.id)
            raise

    # What the link tells.

    def resumption(self) -> Mapping[str, Any] | None:
        """The proof of the session and the last cursors."""
        if self._resume_token is None:
            return None
        cursors = {room.id: room.cursor for room in self.rooms.values() if room.cursor is not None}
        return {"token": self._resume_token, "cursors": cursors}

    def entered(self, auth_ok: Message) -> None:
        """A connection is there, of the same session or of a new one."""
        had_session = self._resume_token is not None
        self._resume_token = auth_ok["resumeToken"]
        self.agent_id, self.session_id = auth_ok["agentId"], auth_ok["sessionId"]
        self.limits = auth_ok.get("limits", {})
        resumed = auth_ok.get("resumed", False)
        if had_session and not resumed:
            self._begin_anew()
        self._become(CONNECTED)
        self.flush()
        if had_session and not resumed:
            for room in list(self.rooms.values()):
                self.rejoin(room)

    def renewed(self, auth_ok: Message) -> None:
        """A newer resume token came with the renewal."""
        self._resume_token = auth_ok["resumeToken"]

    def flush(self) -> None:
        """Send (again) whatever is not answered, in order."""
        for request in self._requests.waiting():
            self._send(request)

    def lost(self) -> None:
        """No connection for now."""
        self._become(RECONNECTING)

    def over(self, code: int | None, reason: str, error: ParleyError | None) -> None:
        """The session has ended: nobody waits any longer."""
        if self.closed.done():
            return
        for room in list(self.rooms.values()):
            room.end(Left(CLOSED, error))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(closed())
                answer.add_done_callback(_heard)
        self._answers.clear()
        self._become(OVER)
        end = Closed(code, reason, error)
        self.closed.set_result(end)
        self.feed.tell(end)
        self.feed.end()

    def received(self, message: Message) -> None:
        """Any message but those about the connection itself."""
        request_id, room_id = message.get("id"), message.get("roomId")
        if request_id is not None:
            self._answered(str(request_id), message)
        elif message.get("type") == "error":
            self._refused(message)
        elif room_id in self.rooms:
            self.rooms[room_id].take(message)

    # Answers.

    def _answered(self, request_id: str, message: Message) -> None:
        request = self._requests.answered(request_id)
        answer = self._answers.pop(request_id, None)
        if request is None:
            return
        profile = self._entering.pop(request_id, None)
        if message["type"] == "room_users" and request_id not in self._unwanted:
            self._users(message, profile)
        elif message["type"] == "room_users" and message["roomId"] not in self.rooms:
            self._unwanted.discard(request_id)
            self._post("leave_room", {"roomId": message["roomId"]})[1].add_done_callback(_heard)
        if answer is None or answer.done():
            return
        if message["type"] in ("error", "auth_error"):
            answer.set_exception(ParleyError.of(message))
        else:
            answer.set_result(message)

    def _users(self, message: Message, profile: Profile | None) -> None:
        room = self.rooms.get(message["roomId"])
        if room is not None:
            room.take(message)
        elif profile is not None:
            self.rooms[profile.room_id] = Room(self, profile, message)

    def _refused(self, message: Message) -> None:
        error = ParleyError.of(message)
        room_id = error.details.get("roomId")
        if error.code == NOT_IN_ROOM and room_id in self.rooms:
            self.rejoin(self.rooms[room_id])  # the session was resumed, and our seat in this room was not
        else:
            self.feed.tell(Refused(error))

    # Seats that were lost, one with a room or all with the session.

    def rejoin(self, room: Room) -> None:
        """Join a room again, as who we were in it. Who wanted to leave it has left."""
        if room.id in self._rejoining:
            return
        if any(one.type == "leave_room" and one.room_id == room.id for one in self._requests.waiting()):
            room.end(Left("left"))
            return
        room.outlived()
        self._rejoining[room.id] = asyncio.create_task(self._rejoin(room), name="parley-rejoin")

    def _begin_anew(self) -> None:
        """Nothing that belonged to the lost session is sent: signals are dropped, changes of oneself become part of the
        new join, and who wanted to leave has left."""
        for task in self._rejoining.values():
            task.cancel()
        self._rejoining.clear()
        for room in self.rooms.values():
            room.outlived()
        for request in self._requests.start_anew(lambda kept: kept.id in self._entering):
            answer = self._answers.pop(request.id, None)
            room_of = self.rooms.get(request.room_id or "")
            if request.type == "update_self" and room_of is not None:
                room_of.profile.fold(request.fields)
            elif request.type == "leave_room" and room_of is not None:
                room_of.end(Left("left"))
            if answer is None or answer.done():
                continue
            if request.type in SIGNALS:
                dropped = "the session that this signal belonged to is gone"
                answer.set_exception(ParleyError(PARTICIPANT_NOT_FOUND, dropped, retryable=False))
                answer.add_done_callback(_heard)
            else:
                answer.set_result({"type": "ok", "id": request.id})

    async def _rejoin(self, room: Room) -> None:
        pause = Backoff(random.random, first=0.5)
        while self.rooms.get(room.id) is room:
            wait = 0.0
            try:
                await self.ask("join_room", await room.profile.fields())
            except ParleyError as error:
                if not error.retryable:
                    room.end(Left(error.code, error))
                    return
                wait = error.retry_after or 0.0
            except Exception as error:
                logger.warning("the join token's function failed: %s", type(error).__name__)
            else:
                self._rejoining.pop(room.id, None)
                return
            await asyncio.sleep(wait + pause.next())

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.feed.tell(StateChanged(state))


def _heard(answer: "asyncio.Future[Message]") -> None:
    """Nobody may be waiting for this one any more; that is no reason for a warning."""
    if not answer.cancelled():
        answer.exception()
