"""When new TURN credentials are worth another connection in place of one that is relayed with the last ones. Pure."""

from datetime import datetime


def renewed(known: str | None, told: str | None, now: datetime) -> tuple[bool, str | None]:
    """Whether relayed connections are replaced when ICE servers come, and the end of credentials that is known then.

    `known` is the end that was known last, `told` that of the new servers (RFC 3339; None: they have no credentials).
    A relay is replaced when its credentials end well before the new ones do. Servers without credentials say nothing
    about a relay that is in use: it is left alone, and the end that was known last still counts.
    """
    if told is None:
        return False, known
    if known is None:
        return False, told
    return datetime.fromisoformat(known) - now < 0.75 * (datetime.fromisoformat(told) - now), told
