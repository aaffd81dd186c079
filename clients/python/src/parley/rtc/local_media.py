"""What we send in a call: one source for each kind, and how the room is told of it."""

import uuid
from collections.abc import Callable

from parley.rtc.source import Source

KINDS = ("audio", "video", "screen")


class LocalMedia:
    """Our sources, by kind. `ended` is called when a source's track comes to an end by itself."""

    def __init__(self, ended: Callable[[Source], object]) -> None:
        self.sources = {kind: Source(kind, ended) for kind in KINDS}
        self.screen_stream = str(uuid.uuid4())  # the MediaStream id by which others tell the screen from the camera

    @property
    def live(self) -> list[str]:
        """The kinds that there is a track of."""
        return [kind for kind, source in self.sources.items() if source.live]

    def source(self, kind: str) -> Source:
        """The source of a kind. Raises ValueError."""
        if kind not in self.sources:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        return self.sources[kind]

    def clear(self) -> None:
        """Send nothing any more. Whoever made a track stops it."""
        for source in self.sources.values():
            source.set(None)
