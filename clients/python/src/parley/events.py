"""What a program hears of its session and its rooms."""

from dataclasses import dataclass

from parley.errors import ParleyError
from parley.ice_server import IceServer
from parley.participant import Participant
from parley.room_info import RoomInfo


@dataclass(frozen=True, slots=True)
class Missed:
    """So many events were dropped, the oldest first, because the program did not read them. Look at the room anew."""

    count: int


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Somebody came."""

    participant: Participant


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """Somebody left. The reason is the protocol's, or None when it happened while this program was cut off."""

    participant: Participant
    reason: str | None


@dataclass(frozen=True, slots=True)
class ParticipantUpdated:
    """Somebody changed what it says of itself, or lost or regained its connection."""

    participant: Participant
    previous: Participant


@dataclass(frozen=True, slots=True)
class RoomUpdated:
    """The room's properties changed."""

    info: RoomInfo
    previous: RoomInfo


@dataclass(frozen=True, slots=True)
class Resumed:
    """The connection was lost and is back. `recovered`: nothing was missed. `rejoined`: as a new participant, because
    the session was gone; `room.me` is another one then."""

    recovered: bool
    rejoined: bool = False


@dataclass(frozen=True, slots=True)
class IceServers:
    """STUN and TURN servers, and until when their credentials are good (RFC 3339; None: no end)."""

    ice_servers: tuple[IceServer, ...]
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Left:
    """Our own stay ended, and with it the room object: the reason is that of `user_left`, the code of the error that
    kept us from coming back, or `closed` when the session ended."""

    reason: str
    error: ParleyError | None = None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session is `connecting`, `connected`, `reconnecting` or `closed` now."""

    state: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something was refused that nobody is waiting for."""

    error: ParleyError


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over, with the WebSocket's close code (None: the program closed it) and the last error."""

    code: int | None
    reason: str
    error: ParleyError | None = None


RosterEvent = ParticipantJoined | ParticipantLeft | ParticipantUpdated | RoomUpdated
RoomEvent = RosterEvent | Resumed | IceServers | Left | Missed
SessionEvent = StateChanged | Refused | Closed | Missed
