"""The port for what the broker says of its own storage: how full its places are, and whether it stores at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.rooms.reserve import Place

LOG, STORE = "log", "store"


@dataclass(frozen=True, slots=True)
class Stock:
    """The broker's storage at one moment. `stored` is all that it keeps for us, in bytes.

    `refusal` is why the log takes nothing more until the broker is restarted, in the broker's own words; None if it does.
    """

    places: Sequence[Place]
    stored: int
    refusal: str | None = None


class Storage(Protocol):
    """Looks at the broker's storage. Only the service that owns the streams may."""

    async def look(self) -> Stock:
        """The storage now. Raises `Refused(unavailable)`."""
