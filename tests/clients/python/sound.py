"""What tests say and hear in calls."""

import array
import asyncio
import fractions
import math

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from parley.rtc import Call, RemoteTrack, Track

RATE, CHUNK = 48_000, 960
LOUD = 1000.0  # of 32,767: a tone is far above, silence and its rounding far below


class Tone(MediaStreamTrack):
    """A tone of 440 Hz, for ever."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0
        self._began: float | None = None

    async def recv(self) -> AudioFrame:
        """The next 20 ms."""
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(max(0.0, self._began + self._sent / RATE - loop.time()))
        count = range(self._sent, self._sent + CHUNK)
        samples = array.array("h", (int(12_000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in count))
        frame = AudioFrame(format="s16", layout="mono", samples=CHUNK)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._sent, fractions.Fraction(1, RATE)
        self._sent += CHUNK
        return frame


def loudness(frame: AudioFrame) -> float:
    """The root mean square of its samples."""
    samples = array.array("h", bytes(frame.planes[0]))
    return math.sqrt(sum(one * one for one in samples) / len(samples))


async def hear(track: RemoteTrack, *, loud: bool = True) -> None:
    """Listen until it is (or is not) loud for a while."""
    row = 0
    while row < 5:
        row = row + 1 if (loudness(await track.recv()) > LOUD) is loud else 0


async def hear_somebody(call: Call) -> None:
    """Listen to whatever audio comes, also over connections that are replaced, until it is loud."""
    found: asyncio.Queue[RemoteTrack] = asyncio.Queue()
    off = call.on(lambda event: found.put_nowait(event.track) if isinstance(event, Track) else None)
    for peer in call.peers.values():
        for incoming in peer.tracks:
            found.put_nowait(incoming)
    try:
        while True:
            track = await found.get()
            try:
                await hear(track)
            except MediaStreamError:
                continue
            return
    finally:
        off()
