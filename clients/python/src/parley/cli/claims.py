"""What a token says about itself. Nothing here is believed: only the server knows whether the signature is good (pure)."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any


class NoToken(Exception):  # noqa: N818 - a text that is something else
    """The text is no JWT. The message says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The two readable parts of a JWT in compact form (RFC 7519)."""

    header: dict[str, Any]
    body: dict[str, Any]

    @property
    def agent_id(self) -> str:
        """Whom it names."""
        return str(self.body.get("sub", "(nobody)"))

    @property
    def ends(self) -> float | None:
        """Its end, in seconds since the epoch."""
        return _number(self.body.get("exp"))

    def left(self, now: float) -> float | None:
        """Seconds until its end; negative when that is past."""
        return None if self.ends is None else self.ends - now


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read(token: str) -> Claims:
    """Its claims. Raises NoToken."""
    parts = token.split(".")
    if len(parts) != 3:
        raise NoToken("a JWT has three parts with dots between them")
    return Claims(_part(parts[0], "header"), _part(parts[1], "claims"))


def _part(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise NoToken(f"its {name} cannot be decoded") from None
    if not isinstance(value, dict):
        raise NoToken(f"its {name} are no JSON object")
    return value


def duration(seconds: float) -> str:
    """`2 h 5 min`, for people."""
    whole = int(abs(seconds))
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
