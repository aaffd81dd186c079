"""The other end: one participant of a call, its state, its tracks, and the connection to it, which can be replaced."""

import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from aiortc import RTCDataChannel, RTCPeerConnection

from parley.participant import Participant
from parley.room import Room
from parley.rtc.ice import relayed
from parley.rtc.negotiator import Negotiator
from parley.rtc.peer_connection import Incoming, PeerConnection
from parley.rtc.remote_track import RemoteTrack
from parley.rtc.signal_port import SignalPort
from parley.rtc.timers import Timers
from parley.transport.backoff import Backoff

logger = logging.getLogger(__name__)

STUCK = {True: 15.0, False: 25.0}  # seconds to connect, by politeness: not both at once


class PeerHost(Protocol):
    """What a peer needs of its call, and what it tells it."""

    @property
    def room(self) -> Room:
        """The room of the call."""

    @property
    def sends(self) -> bool:
        """Whether there is a track to send."""

    def new_connection(self, open_channels: Callable[[PeerConnection], None]) -> PeerConnection:
        """A connection with the servers of the moment. It calls `open_channels` when it begins."""

    def own_channels(self) -> list[tuple[str, dict[str, Any]]]:
        """Label and options of the data channels that every connection has from us."""

    def use_channel(self, peer: "Peer", channel: RTCDataChannel, *, own: bool) -> None:
        """A data channel of ours or theirs is there."""

    def channels_lost(self, peer: "Peer") -> None:
        """Its connection is about to be replaced, and the data channels with it."""

    def track(self, peer: "Peer", kind: str, track: RemoteTrack) -> None:
        """A track comes from it."""

    def track_ended(self, peer: "Peer", kind: str, track: RemoteTrack) -> None:
        """It comes no more."""

    def peer_changed(self, peer: "Peer") -> None:
        """Its state is another one."""

    def in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""


class Peer:
    """A participant of the call and the connection to it."""

    def __init__(self, host: PeerHost, participant: Participant, *, polite: bool) -> None:
        self._host = host
        self._last_seen = participant
        self._screen_stream: object = participant.metadata.get("screen")
        self.id = participant.id
        self.state = "new"
        self._pause = Backoff(random.random, first=0.5, cap=10.0)
        self._timers = Timers()
        self._connection = self._connect()
        self._negotiator = Negotiator(self, SignalPort(host.room, self.id), polite=polite)

    def __repr__(self) -> str:
        return f"<Peer {self.id} {self.participant.name!r} {self.state}>"

    @property
    def participant(self) -> Participant:
        """Who it is, as the room knows it now, or knew it last."""
        self._last_seen = self._host.room.participants.get(self.id, self._last_seen)
        return self._last_seen

    @property
    def screen_stream(self) -> object:
        """The stream it named last as its screen's: a track comes, or goes, after it has said so."""
        self._screen_stream = self.participant.metadata.get("screen") or self._screen_stream
        return self._screen_stream

    @property
    def connection(self) -> RTCPeerConnection:
        """aiortc's object of the moment; a rebuild replaces it."""
        return self._connection.pc

    @property
    def generation(self) -> int:
        """How often the connection was replaced."""
        return self._negotiator.generation

    @property
    def relayed(self) -> bool:
        """Whether our side goes over a TURN server."""
        return relayed(self._connection.pc)

    @property
    def tracks(self) -> list[RemoteTrack]:
        """What comes from it now; `Track` and `TrackEnded` tell when that changes."""
        return [one.track for one in self.incoming]

    @property
    def incoming(self) -> list[Incoming]:
        """The same, with the stream and the kind of each."""
        return list(self._connection.incoming.values())

    # What the call and its topology ask.

    def take(self, message: Mapping[str, Any]) -> None:
        """A signal of theirs."""
        self._negotiator.take(message)

    def changed(self) -> None:
        """What we send or open is another: offer, if that needs it."""
        self._negotiator.changed()

    def rebuild(self) -> None:
        """Replace the connection."""
        self._negotiator.rebuild()

    def recover(self) -> None:
        """Signals may have been lost: whatever was under way begins anew."""
        if self._negotiator.busy or self.state not in ("connected", "new"):
            self.rebuild()

    def updated(self) -> None:
        """The participant says something else of itself. Where it names another stream as its screen, a track ends as
        one kind and comes as the other: the same track."""
        for one in self.incoming:
            kind = one.kind_for(self.screen_stream)
            if kind != one.kind:
                self._host.track_ended(self, one.kind, one.track)
                one.kind = kind
                self._host.track(self, kind, one.track)

    def open_channel(self, label: str, **options: Any) -> RTCDataChannel | None:
        """A data channel on the connection of the moment; None when that will open it as soon as it begins."""
        if not self._connection.begun or self.state == "closed":
            return None
        return self._connection.open_channel(label, **options)

    async def close(self) -> None:
        """End it."""
        self._timers.cancel()
        await self._negotiator.close()
        await self._connection.close()
        self._become("closed")

    # What the negotiator asks.

    def current(self) -> PeerConnection:
        """The connection of the moment."""
        return self._connection

    def replace(self) -> None:
        """Put a new connection in its place: its tracks and channels end."""
        old = self._connection
        for one in old.incoming.values():
            self._host.track_ended(self, one.kind, one.track)
            one.track.stop()
        old.incoming.clear()
        self._host.channels_lost(self)
        self._connection = self._connect()
        self._become("new")
        self.in_background(old.close())

    def negotiated(self) -> None:
        """A round is complete: tell what is new in it and what is gone, and look after the connection."""
        connection = self._connection
        self._tell_tracks(connection)
        if connection.state != "connected":

            def still_not() -> None:
                if connection is self._connection and connection.state in ("new", "connecting"):
                    logger.info("%s is not connected in time; starting over", self.id)
                    self.rebuild()

            self._timers.later(STUCK[self._negotiator.polite], still_not)

    def negotiation_failed(self) -> None:
        """Replace the connection after a pause: that it connects would not help its negotiation."""
        self._rebuild_later(stuck=True)

    def has_something(self) -> bool:
        """Whether there is a track or a data channel of ours, so that a connection should begin."""
        return self._host.sends or bool(self._host.own_channels())

    def in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""
        self._host.in_background(doing)

    # The connection.

    def _connect(self) -> PeerConnection:
        connection = self._host.new_connection(self._open_channels)
        connection.pc.on("connectionstatechange", lambda: self._state_changed(connection))
        connection.pc.on("datachannel", lambda channel: self._host.use_channel(self, channel, own=False))
        return connection

    def _open_channels(self, connection: PeerConnection) -> None:
        for label, options in self._host.own_channels():
            self._host.use_channel(self, connection.open_channel(label, **options), own=True)

    def _tell_tracks(self, connection: PeerConnection) -> None:
        def ended(mid: str) -> None:
            gone = connection.incoming.pop(mid, None)
            if gone is not None:
                self._host.track_ended(self, gone.kind, gone.track)

        fresh, gone = connection.update_incoming(ended)
        for one in gone:
            self._host.track_ended(self, one.kind, one.track)
        for mid in fresh:
            one = connection.incoming[mid]
            one.kind = one.kind_for(self.screen_stream)
            self._host.track(self, one.kind, one.track)

    def _state_changed(self, connection: PeerConnection) -> None:
        if connection is not self._connection:
            return
        if connection.state == "connected":
            self._pause.reset()
        elif connection.state == "failed":
            self._rebuild_later()
        self._become(connection.state)

    def _rebuild_later(self, *, stuck: bool = False) -> None:
        """After a pause, unless it has connected by then; `stuck`: that would not help its negotiation."""
        connection = self._connection

        def now() -> None:
            if connection is self._connection and (stuck or self.state != "connected"):
                self.rebuild()

        self._timers.later(self._pause.next(), now)

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._host.peer_changed(self)
