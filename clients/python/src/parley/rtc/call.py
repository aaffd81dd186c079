"""A call: what is sent, what comes, and with whom there are connections, as its topology has them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from aiortc import MediaStreamTrack

from parley.errors import ParleyError
from parley.events import IceServers, Left, ParticipantJoined, ParticipantLeft, ParticipantUpdated, Resumed, RoomEvent
from parley.feed import Events, Feed
from parley.room import Room
from parley.rtc.channels import Channels, aiortc_options
from parley.rtc.data_channel import ChannelOptions, DataChannel
from parley.rtc.events import CallEvent
from parley.rtc.host import CallHost
from parley.rtc.local_media import LocalMedia
from parley.rtc.mesh import Mesh
from parley.rtc.peer import Peer
from parley.rtc.source import Source
from parley.rtc.stats import PeerStats, stats_of
from parley.rtc.topology import TopologyFactory

logger = logging.getLogger(__name__)

CLOSING = 5.0  # seconds that connections have to end


class Call:
    """Everybody in the room, connected. One per room; it begins when it is made and ends with `close` or the room.

    `receive` says which media we want from others: an agent that only listens saves itself decoding video by
    `receive=("audio",)`. `relay_only` sends everything over the room's TURN server. `topology` makes what decides who
    is connected with whom: a full mesh, or another `Topology`.
    """

    def __init__(
        self,
        room: Room,
        *,
        receive: Iterable[str] = ("audio", "video"),
        relay_only: bool = False,
        topology: TopologyFactory = Mesh,
    ) -> None:
        self.room = room
        self._feed: Feed[CallEvent] = Feed()
        self._media = LocalMedia(self._track_ended)
        self._channels = Channels(self._feed, lambda: list(self.peers))
        self._host = CallHost(
            room, self._media, self._channels, self._feed, receive=frozenset(receive), relay_only=relay_only
        )
        self._topology = topology(self._host)
        self._closing: asyncio.Task[None] | None = None
        self._me = room.me.id
        self._early: list[Mapping[str, Any]] | None = []  # signals that came before the peers were there
        room.on_signal(self._signal)
        self._off = room.on(self._room_event)
        self._topology.begin()
        early, self._early = self._early, None
        for message in early:
            self._signal(message)

    def __repr__(self) -> str:
        return f"<Call in {self.room.id!r} with {len(self.peers)}>"

    @property
    def peers(self) -> Mapping[str, Peer]:
        """The others by participant id. It is a live view."""
        return self._topology.peers

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
            stream = self._media.screen_stream if track is not None else None
            await self.room.update(media={kind: _state(source, track)}, metadata={"screen": stream})
        source.set(track)
        for peer in self.peers.values():
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
        channel = self._channels.get(label)
        if channel.options is None:
            channel.options = ChannelOptions(ordered, max_retransmits, max_packet_life_time)
            for peer in self.peers.values():
                opened = peer.open_channel(label, **aiortc_options(channel.options))
                if opened is not None:
                    self._channels.use(peer, opened, own=True)
                peer.changed()
        return channel

    async def get_stats(self) -> dict[str, PeerStats]:
        """How the connections are, by participant id."""
        peers = list(self.peers.values())
        return dict(zip((peer.id for peer in peers), await asyncio.gather(*map(stats_of, peers)), strict=True))

    async def close(self) -> None:
        """Hang up; the room stays. Tracks that were set are not stopped: whoever made one stops it."""
        await asyncio.shield(self._begin_closing())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _begin_closing(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="parley-call-close")
        return self._closing

    async def _close(self) -> None:
        self._off()
        self.room.on_signal(None)
        sent = self._media.live
        self._media.clear()
        closing: list[Coroutine[Any, Any, None]] = [self._topology.close()]
        if sent and self.room.left is None:
            closing.append(self._say_off(sent))
        try:
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*closing, *self._host.background, return_exceptions=True)
        except TimeoutError:
            logger.warning("not every connection of the call in %s ended in time", self.room.id)
        self._channels.end()
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
        return self._media.source(kind)

    def _track_ended(self, source: Source) -> None:
        """A track that we sent has come to its end by itself."""
        if self._closing is None:
            self._host.in_background(self.set_track(source.kind, None))

    # What happens in the room.

    def _room_event(self, event: RoomEvent) -> None:
        if self.room.me.id != self._me:  # another session, another participant: nobody knows our connections
            self._me = self.room.me.id
            self._topology.reset()
            self._topology.begin()
        match event:
            case ParticipantJoined(participant):
                self._topology.joined(participant)
            case ParticipantLeft(participant, reason):
                self._topology.left(participant, reason)
            case ParticipantUpdated(participant):
                self._topology.updated(participant)
            case Resumed(recovered=False, rejoined=False):
                self._topology.signals_lost()
            case IceServers():
                self._topology.ice_servers_changed()
            case Left():
                self._begin_closing()

    def _signal(self, message: Mapping[str, Any]) -> None:
        if self._early is None:
            self._topology.take(message)
        else:
            self._early.append(message)


def _state(source: Source, track: MediaStreamTrack | None) -> dict[str, str]:
    return {"state": "off" if track is None else "muted" if source.muted else "on"}
