"""The messages of a client about its session, as they come over the wire (protocol, section 3)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.values.ids import DeviceIdField, RoomIdField
from shared.values.model import Strict
from shared.wire.protocol import ClientMessage

CursorText = Annotated[str, StringConstraints(max_length=128)]


class Resume(Strict):
    """The proof of a session and the last cursor seen in each of its rooms."""

    token: str
    cursors: Annotated[dict[RoomIdField, CursorText], Field(max_length=100)]


class Authenticate(ClientMessage):
    """The first message; on a live session it renews."""

    type: Literal["authenticate"]
    token: str
    device_id: DeviceIdField | None = None
    resume: Resume | None = None


class Ping(ClientMessage):
    """Is the connection alive?"""

    type: Literal["ping"]
