"""The call as its topology and its peers see it (a `TopologyHost`): what they need, and whom they tell."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from aiortc import RTCDataChannel

from parley.feed import Feed
from parley.room import Room
from parley.rtc.channels import Channels
from parley.rtc.events import CallEvent, PeerChanged, PeerJoined, PeerLeft, Track, TrackEnded
from parley.rtc.ice import configuration
from parley.rtc.local_media import LocalMedia
from parley.rtc.peer import Peer
from parley.rtc.peer_connection import PeerConnection
from parley.rtc.remote_track import RemoteTrack

logger = logging.getLogger(__name__)


class CallHost:
    """`receive` and `relay_only` are those of the call. What is told becomes an event of the call."""

    def __init__(
        self,
        room: Room,
        media: LocalMedia,
        channels: Channels,
        feed: Feed[CallEvent],
        *,
        receive: frozenset[str],
        relay_only: bool,
    ) -> None:
        self.room = room
        self.background: set[asyncio.Task[None]] = set()
        self._media = media
        self._channels = channels
        self._feed = feed
        self._receive = receive
        self._relay_only = relay_only

    @property
    def sends(self) -> bool:
        """Whether there is a track to send."""
        return bool(self._media.live)

    def new_connection(self, open_channels: Callable[[PeerConnection], None]) -> PeerConnection:
        """A connection with the servers of the moment. It calls `open_channels` when it begins."""
        settings = configuration(self.room.ice_servers, relay_only=self._relay_only)
        return PeerConnection(settings, self._media.sources, self._receive, self._media.screen_stream, open_channels)

    def own_channels(self) -> list[tuple[str, dict[str, Any]]]:
        """Label and options of the data channels that every connection has from us."""
        return self._channels.own()

    def use_channel(self, peer: Peer, channel: RTCDataChannel, *, own: bool) -> None:
        """A data channel of ours or theirs is there."""
        self._channels.use(peer, channel, own=own)

    def channels_lost(self, peer: Peer) -> None:
        """Its connection is about to be replaced, and the data channels with it."""
        self._channels.lost(peer, keep_waiting=True)

    def track(self, peer: Peer, kind: str, track: RemoteTrack) -> None:
        """A track comes from a peer."""
        self._feed.tell(Track(peer, kind, track))

    def track_ended(self, peer: Peer, kind: str, track: RemoteTrack) -> None:
        """It comes no more."""
        self._feed.tell(TrackEnded(peer, kind, track))

    def peer_joined(self, peer: Peer) -> None:
        """There is one more peer."""
        self._feed.tell(PeerJoined(peer))

    def peer_changed(self, peer: Peer) -> None:
        """A peer's state is another one."""
        self._feed.tell(PeerChanged(peer))

    def peer_left(self, peer: Peer, reason: str | None) -> None:
        """A peer is gone: what waited for its channels to open is dropped."""
        self._channels.lost(peer, keep_waiting=False)
        self._feed.tell(PeerLeft(peer, reason))

    def in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else; a failure is logged by its name only."""
        task = asyncio.create_task(doing)
        self.background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("something beside the call failed: %s", type(error).__name__)
