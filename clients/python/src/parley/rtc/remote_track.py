"""Media that comes from another participant."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

WAITING = 100  # frames (two seconds of audio) that are kept for a program that does not read; older ones are dropped


class RemoteTrack(MediaStreamTrack):
    """A track to read frames from: `await track.recv()`, until it raises MediaStreamError at the end.

    aiortc keeps every frame until somebody reads it, for ever; here the oldest are dropped.
    """

    def __init__(self, source: MediaStreamTrack, ended: Callable[[], object]) -> None:
        super().__init__()
        self.kind = source.kind
        self._id = source.id
        self._source = source
        self._ended = ended
        self._frames: deque[Any] = deque(maxlen=WAITING)
        self._arrived = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name="parley-remote-track")

    async def _read(self) -> None:
        try:
            while True:
                self._frames.append(await self._source.recv())
                self._arrived.set()
        except MediaStreamError:
            self.end()

    async def recv(self) -> Any:
        """The next frame."""
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def end(self) -> None:
        """Nothing more will come."""
        if self.readyState != "live":
            return
        self.stop()
        self._ended()

    def stop(self) -> None:
        """Stop listening to it."""
        super().stop()
        if self._task is not asyncio.current_task():
            self._task.cancel()
        self._arrived.set()
