"""What we send of one kind: whichever track is set now, to every connection, silent while it is muted."""

import asyncio
import contextlib
import fractions
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler, Packet, VideoFrame

if TYPE_CHECKING:
    Frame = AudioFrame | VideoFrame | Packet[Any]  # generic for the type checker only
else:
    Frame = AudioFrame | VideoFrame | Packet

RATE, SAMPLES = 48_000, 960  # Opus: 20 ms
VIDEO_RATE = 90_000
CLOCK = fractions.Fraction(1, RATE)
WAITING = 25  # frames (half a second of audio) that a slow sender may be behind; older ones are dropped


class Tap(MediaStreamTrack):
    """One connection's end of a source. It outlives the tracks that are set, since aiortc's senders end with theirs."""

    def __init__(self, source: "Source") -> None:
        super().__init__()
        self.kind = source.media
        self._source = source
        self._frames: deque[Frame] = deque(maxlen=WAITING)
        self._arrived = asyncio.Event()
        self._reading = False

    def take(self, frame: Frame) -> None:
        """One more; nothing is kept before the connection is up and reads."""
        if self._reading:
            self._frames.append(frame)
            self._arrived.set()

    async def recv(self) -> Frame:
        """The next frame of whatever track is set."""
        self._reading = True
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        """The connection is gone."""
        self._source.forget(self)
        super().stop()
        self._arrived.set()


class Source:
    """`audio`, `video` or `screen`. `ended` is called when its track comes to an end by itself."""

    def __init__(self, kind: str, ended: Callable[["Source"], object]) -> None:
        self.kind = kind
        self._ended = ended
        self.media = "audio" if kind == "audio" else "video"
        self.muted = False
        self.track: MediaStreamTrack | None = None
        self._taps: set[Tap] = set()
        self._task: asyncio.Task[None] | None = None
        self._stamp = 0
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    @property
    def live(self) -> bool:
        """Whether there is a track to send."""
        return self.track is not None

    def set(self, track: MediaStreamTrack | None) -> None:
        """Send this from now on. Whoever made a track stops it."""
        if track is not None and track.kind != self.media:
            raise ValueError(f"{self.kind} is sent by a track of kind {self.media}, not {track.kind}")
        if self._task is not None:
            self._task.cancel()
        self.track = track
        self._task = asyncio.create_task(self._read(track), name=f"parley-{self.kind}") if track is not None else None

    def tap(self) -> Tap:
        """An end for one more connection."""
        tap = Tap(self)
        self._taps.add(tap)
        return tap

    def forget(self, tap: Tap) -> None:
        """A connection is gone."""
        self._taps.discard(tap)

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                for one in self._frames(cast(Frame, frame)):
                    for tap in tuple(self._taps):
                        tap.take(one)
        self._ended(self)

    def _frames(self, frame: Frame) -> list[Frame]:
        """What the senders get: of one shape and with one time, whatever track it comes from."""
        if isinstance(frame, AudioFrame):
            return [self._stamped(one) for one in self._resampled(frame)]
        if isinstance(frame, VideoFrame):
            return [self._timed(_black(frame) if self.muted else frame)]
        return [] if self.muted else [frame]

    def _timed(self, frame: VideoFrame) -> VideoFrame:
        """By our clock: another track's time begins anew, and a receiver would take its frames for old ones."""
        now = int(asyncio.get_running_loop().time() * VIDEO_RATE)
        self._stamp = max(self._stamp + 1, now)
        frame.pts, frame.time_base = self._stamp, fractions.Fraction(1, VIDEO_RATE)
        return frame

    def _resampled(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            self._resampler = AudioResampler(format="s16", layout="stereo", rate=RATE, frame_size=SAMPLES)
            self._shape = shape
        frame.pts = None  # tracks count for themselves; a new one must not look like a jump in time
        return self._resampler.resample(frame)

    def _stamped(self, frame: AudioFrame) -> AudioFrame:
        if self.muted:
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = self._stamp, CLOCK
        self._stamp += frame.samples
        return frame


def _black(frame: VideoFrame) -> VideoFrame:
    dark = VideoFrame(frame.width, frame.height, "yuv420p")
    for plane, value in zip(dark.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return dark
