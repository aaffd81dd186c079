"""One RTCPeerConnection, of one generation: its tracks, its descriptions, and what of the other end comes in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.exceptions import InvalidStateError
from aiortc.sdp import candidate_from_sdp

from parley.rtc.remote_track import RemoteTrack
from parley.rtc.sections import sections, ufrags
from parley.rtc.source import Source, Tap

FOUNDATION = "0"  # for candidates that have none, which browsers take, and aiortc does not


@dataclass(slots=True)
class Incoming:
    """A remote track, the id of the MediaStream it is in, and the kind that the program was told."""

    media: str
    stream: str | None
    track: RemoteTrack
    kind: str

    def kind_for(self, screen: object) -> str:
        """`screen` if its participant has named its stream as the screen's; else what it is."""
        return "screen" if self.stream is not None and self.stream == screen else self.media


class QuietConnection(RTCPeerConnection):
    """aiortc connects in a task of its own, and when it is closed meanwhile that task fails, which nobody asks about."""

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802 - overrides aiortc's; unused if that is renamed
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]  # a private name of aiortc
        except (ConnectionError, InvalidStateError):
            if self.signalingState != "closed":
                raise


class PeerConnection:
    """What is set up with another participant. Calls of its coroutines must not overlap.

    Transceivers and the data channels' transport are made in the order of their media sections: aiortc with max-bundle
    would otherwise stop the transport that they share. So nothing is made before the first description.
    """

    def __init__(
        self,
        configuration: RTCConfiguration,
        sources: Mapping[str, Source],
        receive: frozenset[str],
        screen_stream: str,
        open_channels: Callable[["PeerConnection"], None],
    ) -> None:
        self.pc = QuietConnection(configuration)
        self.incoming: dict[str, Incoming] = {}  # by mid
        self._sources = sources
        self._receive = receive
        self._screen_stream = screen_stream
        self._open_channels = open_channels
        self.begun = False
        self._senders: dict[str, RTCRtpTransceiver] = {}  # by kind
        self._taps: list[Tap] = []
        self._agreed: dict[RTCRtpTransceiver, str] = {}  # directions as of the last negotiation
        self._remote_ufrags: frozenset[str] = frozenset()

    @property
    def state(self) -> str:
        """The connectionState."""
        return str(self.pc.connectionState)

    def restarts(self, sdp: str) -> bool:
        """Whether an offer begins another ICE generation, which aiortc cannot follow."""
        return bool(self._remote_ufrags) and self._remote_ufrags.isdisjoint(ufrags(sdp))

    def use_sources(self) -> None:
        """Send what there is to send. Whether that needs an offer, `needs_offer` says."""
        for kind, source in self._sources.items():
            if source.live and kind not in self._senders:
                self._senders[kind] = self._transceiver(source)
        self._set_directions()

    def needs_offer(self) -> bool:
        """Whether the other end does not know everything yet (negotiation-needed, W3C webrtc-pc 4.7.3)."""
        if self.pc.sctp is not None and self.pc.sctp.mid is None:
            return True
        return any(one.mid is None or self._agreed.get(one) != one.direction for one in self.pc.getTransceivers())

    async def offer(self) -> str:
        """Our offer, with all candidates: aiortc gathers before it tells any."""
        for media in ("audio", "video"):
            if not self.begun and (media in self._receive or self._sources[media].live):
                self.pc.addTransceiver(media, direction="recvonly")
        self.use_sources()
        self._begin()
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def answer(self, sdp: str) -> str:
        """Our answer to an offer, with all candidates."""
        await self._take_remote(sdp, "offer")
        self.use_sources()
        self._begin()
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self._note_agreed()
        return str(self.pc.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """The answer to our offer."""
        await self._take_remote(sdp, "answer")
        self._note_agreed()

    async def add_candidate(self, raw: Mapping[str, Any] | None) -> None:
        """A candidate of the other end; None is the end of them."""
        if raw is None or not raw.get("candidate"):
            await self.pc.addIceCandidate(None)
            return
        candidate = candidate_from_sdp(_with_foundation(raw["candidate"].partition("candidate:")[2]))
        candidate.sdpMid, candidate.sdpMLineIndex = raw.get("sdpMid"), raw.get("sdpMLineIndex")
        if candidate.sdpMid is None and candidate.sdpMLineIndex is None:
            candidate.sdpMLineIndex = 0
        await self.pc.addIceCandidate(candidate)

    def open_channel(self, label: str, **options: Any) -> RTCDataChannel:
        """A data channel of ours."""
        return self.pc.createDataChannel(label, **options)

    def update_incoming(self, ended: Callable[[str], object]) -> tuple[list[str], list[Incoming]]:
        """Compare with what the other end says it sends now: the mids that are new, and what has ended."""
        description = self.pc.remoteDescription
        sending = {one.mid: one for one in sections(description.sdp) if one.sends} if description is not None else {}
        gone = [self.incoming.pop(mid) for mid in list(self.incoming) if mid not in sending]
        for one in gone:
            one.track.stop()
        fresh = []
        for transceiver in self.pc.getTransceivers():
            mid, track = transceiver.mid, transceiver.receiver.track
            if mid in sending and mid not in self.incoming and track is not None and transceiver.kind in self._receive:
                remote = RemoteTrack(track, partial(ended, mid))
                self.incoming[mid] = Incoming(transceiver.kind, sending[mid].stream, remote, transceiver.kind)
                fresh.append(mid)
        return fresh, gone

    async def close(self) -> None:
        """End it."""
        self.pc.remove_all_listeners()
        for one in self.incoming.values():
            one.track.stop()
        await self.pc.close()
        for tap in self._taps:
            tap.stop()

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            self._open_channels(self)

    def _transceiver(self, source: Source) -> RTCRtpTransceiver:
        """One that can send this: a free one, as addTrack would take it, or another."""
        tap = source.tap()
        self._taps.append(tap)
        taken = self._senders.values()
        free = (one for one in self.pc.getTransceivers() if one.kind == source.media and one not in taken)
        transceiver = next(free, None)
        if transceiver is None:
            transceiver = self.pc.addTransceiver(tap, direction="sendrecv")
        else:
            transceiver.sender.replaceTrack(tap)
        if source.kind == "screen":  # its stream's id is how others know it; aiortc has no public way to set it
            transceiver.sender._stream_id = self._screen_stream
        return transceiver

    def _set_directions(self) -> None:
        sending = {one for kind, one in self._senders.items() if self._sources[kind].live}
        for one in self.pc.getTransceivers():
            sends, receives = one in sending, one.kind in self._receive
            one.direction = (
                ("sendrecv" if receives else "sendonly") if sends else "recvonly" if receives else "inactive"
            )

    async def _take_remote(self, sdp: str, type_: str) -> None:
        readable = sdp.replace("a=candidate: ", f"a=candidate:{FOUNDATION} ")
        await self.pc.setRemoteDescription(RTCSessionDescription(readable, type_))
        self._remote_ufrags = ufrags(sdp)

    def _note_agreed(self) -> None:
        self._agreed = {one: one.direction for one in self.pc.getTransceivers() if one.mid is not None}


def _with_foundation(candidate: str) -> str:
    """What follows `candidate:`, so that aiortc can read it."""
    return FOUNDATION + candidate if candidate.startswith(" ") else candidate
