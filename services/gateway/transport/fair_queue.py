"""A queue in which every key has its turn, however much waits under another one. Pure."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """First come, first served within a key; one after another between keys. Whoever puts bounds what waits."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Item]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, key: str, item: Item) -> None:
        """Append to the line of this key."""
        self._lines.setdefault(key, deque()).append(item)
        self._count += 1

    def take(self) -> Item:
        """The first item of the key whose turn it is. Raises KeyError when nothing waits."""
        key, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._count -= 1
        if line:
            self._lines[key] = line
        return item
