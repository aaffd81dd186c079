"""Remembers which requests of a session were done, so that one sent twice has one effect. Pure."""

from enum import Enum

from cachetools import FIFOCache

REMEMBERED = 256


class Seen(Enum):
    """What is known of a request id."""

    NEW = "new"
    DONE = "done"  # this very request was done
    TAKEN = "taken"  # the id stands for another request


class DoneRequests:
    """The ids of the last requests that succeeded, with the fingerprint of each. Refused ones may be tried again."""

    __slots__ = ("_done",)

    def __init__(self) -> None:
        self._done: FIFOCache[str, int] | None = None  # most connections never need one

    def seen(self, request_id: str, text: str) -> Seen:
        """Whether the request with this id and text was done."""
        known = self._done.get(request_id) if self._done else None
        if known is None:
            return Seen.NEW
        return Seen.DONE if known == hash(text) else Seen.TAKEN

    def done(self, request_id: str, text: str) -> None:
        """Remember that this request succeeded."""
        if self._done is None:
            self._done = FIFOCache(REMEMBERED)
        self._done[request_id] = hash(text)
