"""Notes of which gateway may be in which room over NATS: empty messages beside the timers, one for each pair."""

import json

from shared.broker import subjects
from shared.broker.headers import EXPECTED_LAST
from shared.broker.log import Conflict
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.replies import subjects_of
from shared.values.errors import unavailable
from shared.values.ids import GatewayId, RoomId

PAGE = 500
STREAM = subjects.TIMER_STREAM


class NatsRoomNotes:
    """See RoomNotes."""

    def __init__(self, connection: NatsConnection) -> None:
        self._replies = connection.replies
        self._store = connection.store

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        try:
            await self._store.store(subjects.noted_room(gateway, room_id), b"", {EXPECTED_LAST: "0"})
        except Conflict:
            return  # it is noted already

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See RoomNotes."""
        found: list[RoomId] = []
        after = 0
        while True:
            query = {"seq": after + 1, "batch": PAGE, "next_by_subj": subjects.noted_rooms(gateway)}
            answers = await self._replies.batch(f"$JS.API.DIRECT.GET.{STREAM}", json.dumps(query).encode())
            notes = [answer.headers for answer in answers if answer.headers and "Nats-Subject" in answer.headers]
            found += [RoomId(note["Nats-Subject"].rpartition(".")[2]) for note in notes]
            if len(notes) < PAGE:
                return found
            after = int(notes[-1]["Nats-Sequence"])

    async def gateways(self) -> frozenset[GatewayId]:
        """See RoomNotes."""
        noted = await subjects_of(self._replies, STREAM, subjects.NOTES)
        return frozenset(GatewayId(subject.split(".")[3]) for subject in noted)

    async def forget_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See RoomNotes."""
        await self._forget(subjects.noted_room(gateway, room_id))

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See RoomNotes."""
        await self._forget(subjects.noted_rooms(gateway))

    async def _forget(self, notes: str) -> None:
        body = json.dumps({"filter": notes}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.PURGE.{STREAM}", body)
        if not answer.data or "error" in json.loads(answer.data):
            raise unavailable("the broker")
