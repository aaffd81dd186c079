"""What a program hears of a call."""

from dataclasses import dataclass

from parley.events import Missed
from parley.rtc.data_channel import DataChannel, Message
from parley.rtc.peer import Peer
from parley.rtc.remote_track import RemoteTrack


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """There is somebody to connect with."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """Somebody is gone from the room (the reason is that of the room's event), or everything began anew."""

    peer: Peer
    reason: str | None


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A peer's `state` is another one."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Track:
    """Media comes from somebody: `kind` is `audio`, `video` or `screen` (of which the track may be audio, too)."""

    peer: Peer
    kind: str
    track: RemoteTrack


@dataclass(frozen=True, slots=True)
class TrackEnded:
    """It comes no more."""

    peer: Peer
    kind: str
    track: RemoteTrack


@dataclass(frozen=True, slots=True)
class DataChannelOpened:
    """A data channel with somebody is open, ours or theirs. `channel.send(…, to=peer.id)` uses it."""

    peer: Peer
    channel: DataChannel


CallEvent = PeerJoined | PeerLeft | PeerChanged | Track | TrackEnded | DataChannelOpened | Message | Missed
