"""Signals for us on their way to whoever takes them, which is one call or another WebRTC stack: kept until it is there."""

from collections import deque

from parley.pushes import Push, PushCallback, Pushes

SIGNALS = ("offer", "answer", "candidate")
CAPACITY = 256  # signals that are kept; the oldest are dropped


class EarlySignals:
    """The signals of a room, one taker at a time."""

    def __init__(self, pushes: Pushes) -> None:
        self._pushes = pushes
        self._kept: deque[Push] = deque(maxlen=CAPACITY)
        self._taker: PushCallback | None = None
        self._off = pushes.on(SIGNALS, self._kept.append)

    def take(self, callback: PushCallback | None) -> None:
        """Call this with every signal, and at once with those that are kept. None: keep them again. Raises RuntimeError
        when somebody takes them already."""
        if callback is not None and self._taker is not None:
            raise RuntimeError("somebody takes the signals of this room already: there is one call per room")
        self._taker = callback
        self._off()
        self._off = self._pushes.on(SIGNALS, callback or self._kept.append)
        while callback is not None and self._kept:
            self._pushes.call(callback, self._kept.popleft())

    def clear(self) -> None:
        """We are another participant: what was for the last one is for nobody."""
        self._kept.clear()
