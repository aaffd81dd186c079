"""A position in a stream of the broker: the sequence that the stream gave to an entry. Positions of one stream ascend."""

from typing import NewType

Position = NewType("Position", int)
NOWHERE = Position(0)  # before every entry
EVERYWHERE = Position((1 << 63) - 1)  # after every entry
