"""`join --listen`: connects with everybody in the room, and receives what they send (extra `parley[rtc]`)."""

import asyncio
import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import parley
from parley.cli.address import is_loopback
from parley.cli.exits import wrong

if TYPE_CHECKING:
    from parley.rtc import Call, CallEvent

SECONDS = 1.0  # between two looks at how much comes


class Listening:
    """A call in which we send nothing. Raises Stop where aiortc is not installed."""

    def __init__(self, base: str) -> None:
        if find_spec("aiortc") is None:
            raise wrong("--listen needs WebRTC (aiortc): pip install 'parley[rtc]'")
        self._base = base
        self._call: Call | None = None
        self._looking: asyncio.Task[None] | None = None
        self._tell: Callable[..., None] = lambda *_, **__: None
        self._bytes: dict[str, int] = {}
        self._rates: dict[str, float] = {}

    def start(self, room: parley.Room, tell: Callable[..., None], changed: Callable[[], None]) -> None:
        """`tell` hears what happens, as a kind and members; `changed` that `states` may be others now."""
        from parley.rtc import Call, use_loopback_when_alone  # takes a second, and is only there with the extra

        if is_loopback(self._base):
            use_loopback_when_alone()
        self._tell = tell
        self._call = Call(room)
        self._call.on(self._take)
        self._looking = asyncio.create_task(self._look(self._call, changed), name="parley-cli-listening")

    def states(self) -> dict[str, str]:
        """How each connection is and how much comes, by participant id."""
        peers = self._call.peers.values() if self._call is not None else ()
        return {peer.id: f"{peer.state} {self._rates.get(peer.id, 0.0):.0f} kbit/s" for peer in peers}

    async def stop(self) -> None:
        """Hang up."""
        if self._looking is not None:
            self._looking.cancel()
        if self._call is not None:
            await self._call.close()

    def _take(self, event: "CallEvent") -> None:
        from parley import rtc

        match event:
            case rtc.PeerChanged(peer):
                self._tell("peer", participant=_raw(peer.participant), state=peer.state)
            case rtc.Track(peer, kind, _) | rtc.TrackEnded(peer, kind, _):
                ends = isinstance(event, rtc.TrackEnded)
                self._tell("track_ended" if ends else "track", participant=_raw(peer.participant), kind=kind)

    async def _look(self, call: "Call", changed: Callable[[], None]) -> None:
        while True:
            with contextlib.suppress(parley.ParleyError):
                for id_, stats in (await call.get_stats()).items():
                    before = self._bytes.get(id_, 0)
                    self._rates[id_] = max(0, stats.bytes_received - before) * 8 / 1000 / SECONDS
                    self._bytes[id_] = stats.bytes_received
            changed()
            await asyncio.sleep(SECONDS)


def _raw(participant: parley.Participant) -> dict[str, Any]:
    return dict(participant.raw)
