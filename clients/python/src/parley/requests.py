"""What was asked and not answered yet, in order, with a bound. Pure.

A request keeps its id and text, so that after a lost connection the very same can be sent again without a second effect
(docs/protocol.md, section 2). What is asked while there is no connection waits here too.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.errors import QUEUE_FULL, ParleyError

CAPACITY = 256  # as many as a gateway remembers


@dataclass(slots=True, eq=False)
class Request:
    """A message with an id. Its text may hold a token, so it is not shown."""

    id: str
    type: str
    fields: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    sent: bool = False  # on this session, by any connection

    @property
    def room_id(self) -> str | None:
        """The room it is about."""
        room_id = self.fields.get("roomId")
        return room_id if isinstance(room_id, str) else None


class Requests:
    """The requests of a client that wait for their answers."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._last = 0
        self._waiting: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, type_: str, fields: Mapping[str, Any]) -> Request:
        """One more. Raises ParleyError `queue_full` when as many wait as may."""
        if len(self._waiting) >= self._capacity:
            raise ParleyError(QUEUE_FULL, f"{self._capacity} requests wait for their answers already")
        request_id = self.new_id()
        text = json.dumps({"type": type_, "id": request_id, **fields}, ensure_ascii=False, separators=(",", ":"))
        request = Request(request_id, type_, fields, text)
        self._waiting[request_id] = request
        return request

    def new_id(self) -> str:
        """An id that was never used."""
        self._last += 1
        return str(self._last)

    def answered(self, request_id: str) -> Request | None:
        """Take out the request that this answers."""
        return self._waiting.pop(request_id, None)

    def withdraw(self, request: Request) -> bool:
        """Take it out unless it was sent; whether that was still possible."""
        if request.sent:
            return False
        return self._waiting.pop(request.id, None) is not None

    def waiting(self) -> list[Request]:
        """All that are not answered, in order: to be sent (again) on a new connection of the same session."""
        return list(self._waiting.values())

    def start_anew(self, keep: Callable[[Request], bool]) -> list[Request]:
        """The session is lost: what was asked of it is taken out; the rest stays, and is sent to the new one."""
        lost = [request for request in self._waiting.values() if not keep(request)]
        for request in lost:
            del self._waiting[request.id]
        for request in self._waiting.values():
            request.sent = False
        return lost
