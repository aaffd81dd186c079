"""Client of Parley: rooms, and calls between who is in them.

`connect` gives a `Session`, which joins `Room`s; `parley.rtc` makes calls. See docs/agents.md.
"""

from parley.errors import ParleyError
from parley.events import (
    Closed,
    IceServers,
    Left,
    Missed,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Refused,
    Resumed,
    RoomEvent,
    RoomUpdated,
    SessionEvent,
    StateChanged,
)
from parley.feed import Events
from parley.ice_server import IceServer
from parley.participant import Participant
from parley.room import Room
from parley.room_info import RoomInfo
from parley.session import Session, connect
from parley.version import __version__

__all__ = [
    "Closed",
    "Events",
    "IceServer",
    "IceServers",
    "Left",
    "Missed",
    "ParleyError",
    "Participant",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantUpdated",
    "Refused",
    "Resumed",
    "Room",
    "RoomEvent",
    "RoomInfo",
    "RoomUpdated",
    "Session",
    "SessionEvent",
    "StateChanged",
    "__version__",
    "connect",
]
