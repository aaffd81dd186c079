"""The data channels of a call, by label."""

from collections.abc import Callable
from typing import Any

from aiortc import RTCDataChannel

from parley.feed import Feed
from parley.rtc.data_channel import ChannelOptions, DataChannel, Message
from parley.rtc.events import CallEvent, DataChannelOpened
from parley.rtc.peer import Peer


class Channels:
    """What each label stands for. `participants` says to whom a channel goes."""

    def __init__(self, feed: Feed[CallEvent], participants: Callable[[], list[str]]) -> None:
        self._feed = feed
        self._participants = participants
        self._channels: dict[str, DataChannel] = {}

    def get(self, label: str) -> DataChannel:
        """The channel of a label."""
        if label not in self._channels:
            self._channels[label] = DataChannel(label, None, self._participants)
        return self._channels[label]

    def own(self) -> list[tuple[str, dict[str, Any]]]:
        """Label and options (aiortc's) of those that every connection has from us."""
        return [
            (label, aiortc_options(one.options)) for label, one in self._channels.items() if one.options is not None
        ]

    def use(self, peer: Peer, channel: RTCDataChannel, *, own: bool) -> None:
        """A data channel with a peer, ours or theirs: it belongs to its label."""
        shared = self.get(channel.label)
        channel.on("message", lambda data: self._heard(Message(peer.participant, shared, data)))
        shared.attach(peer.id, channel, own=own)
        if channel.readyState == "open":
            self._feed.tell(DataChannelOpened(peer, shared))
        else:
            channel.on("open", lambda: self._feed.tell(DataChannelOpened(peer, shared)))

    def lost(self, peer: Peer, *, keep_waiting: bool) -> None:
        """A peer's connection is gone. `keep_waiting`: what waits for it to open goes over the next one."""
        for channel in self._channels.values():
            channel.detach(peer.id, keep_waiting=keep_waiting)

    def end(self) -> None:
        """The call is over."""
        for channel in self._channels.values():
            channel.end()

    def _heard(self, message: Message) -> None:
        message.channel.heard(message)
        self._feed.tell(message)


def aiortc_options(options: ChannelOptions) -> dict[str, Any]:
    """As `createDataChannel` takes them."""
    return {
        "ordered": options.ordered,
        "maxRetransmits": options.max_retransmits,
        "maxPacketLifeTime": options.max_packet_life_time,
    }
