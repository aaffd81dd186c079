"""The way of signals to one participant: what is refused for now is sent again after a pause."""

import asyncio
import random
from typing import Any

from parley.errors import ParleyError
from parley.room import Room
from parley.transport.backoff import Backoff

ATTEMPTS = 6  # to send a signal that is refused for now


class SignalPort:
    """Sends our signals to a participant of the room."""

    def __init__(self, room: Room, participant_id: str) -> None:
        self._room = room
        self.participant_id = participant_id

    async def describe(self, type_: str, sdp: str, negotiation: str | None) -> None:
        """Send a description, which has all our candidates in it, and say that no more will come. Raises ParleyError."""
        named = {} if negotiation is None else {"negotiation": negotiation}
        await self._send(type_, sdp=sdp, **named)
        await self._send("candidate", candidate=None, **named)

    async def _send(self, type_: str, **fields: Any) -> None:
        pause = Backoff(random.random, first=0.5, cap=5.0)
        for attempt in range(ATTEMPTS):
            try:
                await self._room.send_signal(type_, to=self.participant_id, **fields)
                return
            except ParleyError as error:
                if not error.retryable or attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(max(error.retry_after or 0.0, pause.next()))
