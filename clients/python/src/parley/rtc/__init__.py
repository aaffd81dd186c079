"""Calls by aiortc: `Call(room)` connects with everybody in a room. Install it with `pip install parley[rtc]`."""

from parley.rtc.call import Call
from parley.rtc.data_channel import DataChannel, Message
from parley.rtc.events import (
    CallEvent,
    DataChannelOpened,
    PeerChanged,
    PeerJoined,
    PeerLeft,
    Track,
    TrackEnded,
)
from parley.rtc.loopback import use_loopback_when_alone
from parley.rtc.mesh import Mesh
from parley.rtc.peer import Peer
from parley.rtc.remote_track import RemoteTrack
from parley.rtc.stats import PeerStats
from parley.rtc.topology import Topology, TopologyFactory, TopologyHost

__all__ = [
    "Call",
    "CallEvent",
    "DataChannel",
    "DataChannelOpened",
    "Mesh",
    "Message",
    "Peer",
    "PeerChanged",
    "PeerJoined",
    "PeerLeft",
    "PeerStats",
    "RemoteTrack",
    "Topology",
    "TopologyFactory",
    "TopologyHost",
    "Track",
    "TrackEnded",
    "use_loopback_when_alone",
]
