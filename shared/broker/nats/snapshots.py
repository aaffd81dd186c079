"""Snapshots of rooms over NATS: a stream that keeps the newest message of each subject."""

import json

from shared.broker import subjects
from shared.broker.nats.connection import FAILURES, NatsConnection
from shared.broker.nats.replies import status
from shared.broker.snapshots import encode, usable
from shared.rooms.roster import Snapshot
from shared.values.errors import unavailable
from shared.values.ids import RoomId


class NatsSnapshots:
    """See Snapshots."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def save(self, snapshot: Snapshot) -> None:
        """See Snapshots."""
        try:
            await self._connection.client.publish(subjects.snapshot(snapshot.room_id), encode(snapshot))
        except FAILURES:
            raise unavailable("the broker") from None

    async def load(self, room_id: RoomId) -> Snapshot | None:
        """See Snapshots."""
        body = json.dumps({"last_by_subj": subjects.snapshot(room_id)}).encode()
        answer = await self._connection.replies.one(f"$JS.API.DIRECT.GET.{subjects.SNAPSHOT_STREAM}", body)
        stored = None if status(answer.headers) else answer.data
        return usable(stored, room_id, self._connection.incarnation(subjects.LOG_STREAM))
