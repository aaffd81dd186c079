"""A call: a full mesh of connections with everybody who is in a room or comes."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self

from aiortc import MediaStreamTrack, RTCDataChannel

from parley.errors import ParleyError
from parley.events import IceServers, Left, ParticipantJoined, ParticipantLeft, ParticipantUpdated, Resumed, RoomEvent
from parley.feed import Events, Feed
from parley.participant import Participant
from parley.room import Room
from parley.rtc.data_channel import ChannelOptions, DataChannel
from parley.rtc.events import (
    CallEvent,
    DataChannelOpened,
    Message,
    PeerChanged,
    PeerJoined,
    PeerLeft,
    Track,
    TrackEnded,
)
from parley.rtc.ice import configuration
from parley.rtc.peer import Peer
from parley.rtc.peer_connection import PeerConnection
from parley.rtc.source import Source
from parley.rtc.stats import PeerStats, stats_of

logger = logging.getLogger(__name__)

KINDS = ("audio", "video", "screen")
CLOSING = 5.0  # seconds that connections have to end


class Call:
    """Everybody in the room, connected. One per room; it begins when it is made and ends with `close` or the room.

    `receive` says which media we want from others: an agent that only listens saves itself decoding video by
    `receive=("audio",)`. `relay_only` sends everything over the room's TURN server.
    """

    def __init__(self, room: Room, *, receive: Iterable[str] = ("audio", "video"), relay_only: bool = False) -> None:
        self.room = room
        self._receive = frozenset(receive)
        self._relay_only = relay_only
        self._sources = {kind: Source(kind, self._track_ended) for kind in KINDS}
        self._screen_stream = str(uuid.uuid4())
        self._channels: dict[str, DataChannel] = {}
        self._peers: dict[str, Peer] = {}
        self._feed: Feed[CallEvent] = Feed()
        self._background: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._ice_expires_at = room.ice_expires_at
        self._me = ""
        self._off = room.on(self._room_event)
        self._begin()
        room.on_signal(self._signal)

    def __repr__(self) -> str:
        return f"<Call in {self.room.id!r} with {len(self._peers)}>"

    @property
    def peers(self) -> Mapping[str, Peer]:
        """The others by participant id. It is a live view."""
        return MappingProxyType(self._peers)

    def events(self) -> Events[CallEvent]:
        """An iterator over what happens from this call on, until the call ends."""
        return self._feed.events()

    def on(self, callback: Callable[[CallEvent], object]) -> Callable[[], None]:
        """Call this with every event, at once; returns what ends that."""
        return self._feed.on(callback)

    async def set_track(self, kind: str, track: MediaStreamTrack | None) -> None:
        """Send this as `audio`, `video` or `screen` to everybody, or None; and say so in `media`."""
        source = self._source(kind)
        if kind == "screen":  # others must know the stream's id when its track arrives
            stream = self._screen_stream if track is not None else None
            await self.room.update(media={kind: _state(source, track)}, metadata={"screen": stream})
        source.set(track)
        for peer in self._peers.values():
            peer.changed()
        if kind != "screen":
            await self.room.update(media={kind: _state(source, track)})

    async def mute(self, kind: str = "audio") -> None:
        """Send silence, or black, and say so."""
        await self._set_muted(kind, True)

    async def unmute(self, kind: str = "audio") -> None:
        """Send what there is again."""
        await self._set_muted(kind, False)

    def create_data_channel(
        self,
        label: str,
        *,
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: int | None = None,
    ) -> DataChannel:
        """A data channel to each participant, present or to come. Those that others open with this label belong to it."""
        channel = self._channel(label)
        if channel.options is None:
            channel.options = ChannelOptions(ordered, max_retransmits, max_packet_life_time)
            for peer in self._peers.values():
                opened = peer.open_channel(label, **_aiortc(channel.options))
                if opened is not None:
                    self.use_channel(peer, opened, own=True)
                peer.changed()
        return channel

    async def get_stats(self) -> dict[str, PeerStats]:
        """How the connections are, by participant id."""
        peers = list(self._peers.values())
        return dict(zip((peer.id for peer in peers), await asyncio.gather(*map(stats_of, peers)), strict=True))

    async def close(self) -> None:
        """Hang up; the room stays. Tracks that were set are not stopped: whoever made one stops it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="parley-call-close")
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _close(self) -> None:
        self._off()
        self.room.on_signal(None)
        sent = [kind for kind, source in self._sources.items() if source.live]
        for source in self._sources.values():
            source.set(None)
        peers, channels = list(self._peers.values()), list(self._channels.values())
        self._peers.clear()
        closing: list[Coroutine[Any, Any, None]] = [peer.close() for peer in peers]
        if sent and self.room.left is None:
            closing.append(self._say_off(sent))
        try:
            await asyncio.wait_for(asyncio.gather(*closing, *self._background, return_exceptions=True), CLOSING)
        except TimeoutError:
            logger.warning("not every connection of the call in %s ended in time", self.room.id)
        for channel in channels:
            channel.end()
        self._feed.end()

    async def _say_off(self, kinds: list[str]) -> None:
        metadata = {"screen": None} if "screen" in kinds else None
        await self.room.update(media=dict.fromkeys(kinds), metadata=metadata)

    async def _set_muted(self, kind: str, muted: bool) -> None:
        source = self._source(kind)
        source.muted = muted
        if source.live:
            await self.room.update(media={kind: _state(source, source.track)})

    def _source(self, kind: str) -> Source:
        if self._closing is not None:
            raise ParleyError("closed", "the call is over", retryable=False)
        if kind not in self._sources:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        return self._sources[kind]

    def _track_ended(self, source: Source) -> None:
        """A track that we sent has come to its end by itself."""
        if self._closing is None:
            self.in_background(self.set_track(source.kind, None))

    # Who is there.

    def _begin(self) -> None:
        self._me = self.room.me.id
        for participant in self.room.others:
            self._add(participant)

    def _add(self, participant: Participant) -> None:
        if participant.id in self._peers or participant.id == self._me:
            return
        peer = Peer(self, participant, polite=self.room.me.order > participant.order)
        self._peers[peer.id] = peer
        self._feed.tell(PeerJoined(peer))

    def _remove(self, participant_id: str, reason: str | None) -> None:
        peer = self._peers.pop(participant_id, None)
        if peer is None:
            return
        for channel in self._channels.values():
            channel.detach(peer.id, keep_waiting=False)
        self.in_background(peer.close())
        self._feed.tell(PeerLeft(peer, reason))

    def _room_event(self, event: RoomEvent) -> None:
        if self.room.me.id != self._me:  # another session, another participant: nobody knows our connections
            for participant_id in list(self._peers):
                self._remove(participant_id, None)
            self._begin()
        match event:
            case ParticipantJoined(participant):
                self._add(participant)
            case ParticipantLeft(participant, reason):
                self._remove(participant.id, reason)
            case ParticipantUpdated(participant) if participant.id in self._peers:
                self._sort_tracks(self._peers[participant.id])
            case Resumed(recovered=False, rejoined=False):
                for peer in self._peers.values():
                    peer.recover()
            case IceServers():
                self._use_ice_servers(event)
            case Left():
                self._closing = self._closing or asyncio.create_task(self._close(), name="parley-call-close")

    def _use_ice_servers(self, event: IceServers) -> None:
        """New connections use them by themselves. One whose relay's credentials will end is replaced."""
        before, self._ice_expires_at = self._ice_expires_at, event.expires_at
        if before is None or event.expires_at is None:
            return
        now = datetime.now(UTC)
        old, new = datetime.fromisoformat(before) - now, datetime.fromisoformat(event.expires_at) - now
        if old < new * 0.75:
            for peer in self._peers.values():
                if peer.relayed:
                    peer.rebuild()

    def _signal(self, message: Mapping[str, Any]) -> None:
        peer = self._peers.get(message["from"])
        if peer is not None:
            peer.take(message)

    # What peers tell and ask.

    @property
    def sends(self) -> bool:
        """Whether there is anything to send."""
        return any(source.live for source in self._sources.values())

    def new_connection(self, open_channels: Callable[[PeerConnection], None]) -> PeerConnection:
        """One with the servers of the moment."""
        settings = configuration(self.room.ice_servers, relay_only=self._relay_only)
        return PeerConnection(settings, self._sources, self._receive, self._screen_stream, open_channels)

    def own_channels(self) -> list[tuple[str, dict[str, Any]]]:
        """The data channels that every connection has from us."""
        return [(label, _aiortc(one.options)) for label, one in self._channels.items() if one.options is not None]

    def use_channel(self, peer: Peer, channel: RTCDataChannel, *, own: bool) -> None:
        """A data channel of ours or theirs."""
        shared = self._channel(channel.label)
        channel.on("message", lambda data: self._heard(Message(peer.participant, shared, data)))
        shared.attach(peer.id, channel, own=own)
        if channel.readyState == "open":
            self._feed.tell(DataChannelOpened(peer, shared))
        else:
            channel.on("open", lambda: self._feed.tell(DataChannelOpened(peer, shared)))

    def heard_tracks(self, peer: Peer, connection: PeerConnection) -> None:
        """A round of negotiation is over: what is new in it, and what is gone."""

        def ended(mid: str) -> None:
            gone = connection.incoming.pop(mid, None)
            if gone is not None:
                self._feed.tell(TrackEnded(peer, gone.kind, gone.track))

        fresh, gone = connection.update_incoming(ended)
        for one in gone:
            self._feed.tell(TrackEnded(peer, one.kind, one.track))
        for mid in fresh:
            one = connection.incoming[mid]
            one.kind = one.kind_for(peer.screen_stream)
            self._feed.tell(Track(peer, one.kind, one.track))

    def _sort_tracks(self, peer: Peer) -> None:
        """The participant says that another stream is its screen: what it concerns ends as one kind and comes as the
        other, the same track."""
        for one in peer.incoming:
            kind = one.kind_for(peer.screen_stream)
            if kind != one.kind:
                self._feed.tell(TrackEnded(peer, one.kind, one.track))
                one.kind = kind
                self._feed.tell(Track(peer, kind, one.track))

    def lost_connection(self, peer: Peer, connection: PeerConnection) -> None:
        """It is about to be replaced: its tracks end."""
        for one in connection.incoming.values():
            self._feed.tell(TrackEnded(peer, one.kind, one.track))
            one.track.stop()
        connection.incoming.clear()
        for channel in self._channels.values():
            channel.detach(peer.id, keep_waiting=True)

    def peer_changed(self, peer: Peer) -> None:
        """Its state is another one."""
        self._feed.tell(PeerChanged(peer))

    def in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else; a failure is logged by its name only."""
        task = asyncio.create_task(doing)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("something beside the call failed: %s", type(error).__name__)

    def _channel(self, label: str) -> DataChannel:
        if label not in self._channels:
            self._channels[label] = DataChannel(label, None, lambda: list(self._peers))
        return self._channels[label]

    def _heard(self, message: Message) -> None:
        message.channel.heard(message)
        self._feed.tell(message)


def _state(source: Source, track: MediaStreamTrack | None) -> dict[str, str]:
    return {"state": "off" if track is None else "muted" if source.muted else "on"}


def _aiortc(options: ChannelOptions | None) -> dict[str, Any]:
    given = options or ChannelOptions()
    return {
        "ordered": given.ordered,
        "maxRetransmits": given.max_retransmits,
        "maxPacketLifeTime": given.max_packet_life_time,
    }
