"""A data channel to everybody: one RTCDataChannel to each participant, present or to come, behind one label."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiortc import RTCDataChannel

from parley.errors import PARTICIPANT_NOT_FOUND, QUEUE_FULL, ParleyError
from parley.feed import Events, Feed
from parley.participant import Participant

WAITING = 64  # messages to a participant whose channel is not open yet; the oldest are dropped
BUFFERED = 4 * 1024 * 1024  # bytes on their way to a participant; more is refused


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody sent text or bytes over a data channel."""

    participant: Participant
    channel: "DataChannel"
    data: str | bytes


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """Those of RTCDataChannelInit that make sense here."""

    ordered: bool = True
    max_retransmits: int | None = None
    max_packet_life_time: int | None = None  # milliseconds


@dataclass(slots=True)
class Lane:
    """The way to one participant: its channels, and what waits for one of them to open."""

    channels: list[RTCDataChannel] = field(default_factory=list)
    waiting: deque[str | bytes] = field(default_factory=lambda: deque(maxlen=WAITING))

    def open(self) -> RTCDataChannel | None:
        """A channel that can be used now; our own before theirs."""
        return next((one for one in self.channels if one.readyState == "open"), None)


class DataChannel:
    """What a label stands for in a call."""

    def __init__(self, label: str, options: ChannelOptions | None, participants: Callable[[], list[str]]) -> None:
        self.label = label
        self.options = options  # None: we open none ourselves, and use those that others open
        self._participants = participants
        self._lanes: dict[str, Lane] = {}
        self._feed: Feed[Message] = Feed()

    def __repr__(self) -> str:
        return f"<DataChannel {self.label!r} open to {len(self.open_to)}>"

    @property
    def open_to(self) -> list[str]:
        """The participants (ids) that a message would reach at once."""
        return [participant_id for participant_id, lane in self._lanes.items() if lane.open() is not None]

    def send(self, data: str | bytes, *, to: str | None = None) -> None:
        """Send to a participant (id), or to everybody. To those whose channel is not open yet it goes as soon as it is.

        Raises ParleyError: `participant_not_found`, or `queue_full` when too much is on its way already.
        """
        if to is not None:
            if to not in self._participants():
                raise ParleyError(PARTICIPANT_NOT_FOUND, "there is no such participant in this call")
            self._send(data, to)
            return
        for participant_id in self._participants():
            self._send(data, participant_id)

    def messages(self) -> Events[Message]:
        """An iterator over what comes from now on."""
        return self._feed.events()

    def on_message(self, callback: Callable[[Message], object]) -> Callable[[], None]:
        """Call this with every message; returns what ends that."""
        return self._feed.on(callback)

    def _send(self, data: str | bytes, participant_id: str) -> None:
        lane = self._lanes.setdefault(participant_id, Lane())
        channel = lane.open()
        if channel is None:
            lane.waiting.append(data)
        elif channel.bufferedAmount > BUFFERED:
            raise ParleyError(QUEUE_FULL, f"more than {BUFFERED} bytes are on their way to {participant_id}")
        else:
            channel.send(data)

    # What the call calls.

    def attach(self, participant_id: str, channel: RTCDataChannel, *, own: bool) -> None:
        """One more way to a participant."""
        lane = self._lanes.setdefault(participant_id, Lane())
        lane.channels.insert(0 if own else len(lane.channels), channel)

        def opened() -> None:
            while lane.waiting:
                channel.send(lane.waiting.popleft())

        def closed() -> None:
            if channel in lane.channels:
                lane.channels.remove(channel)

        channel.on("open", opened)
        channel.on("close", closed)
        if channel.readyState == "open":
            opened()

    def detach(self, participant_id: str, *, keep_waiting: bool) -> None:
        """A participant's connection is gone."""
        lane = self._lanes.pop(participant_id, None)
        if lane is not None and keep_waiting and lane.waiting:
            self._lanes[participant_id] = Lane(waiting=lane.waiting)

    def heard(self, message: Message) -> None:
        """Something came."""
        self._feed.tell(message)

    def end(self) -> None:
        """The call is over."""
        self._lanes.clear()
        self._feed.end()
