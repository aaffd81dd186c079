"""The refusal of a room whose log rooms cannot fold. Asking again does not help before an upgrade or a repair of the log."""

from shared.values.errors import Code, Refused

_CAUSE = "unfoldable"


def unfoldable() -> Refused:
    """The refusal. To clients it is `unavailable` like any other, since a newer replica of rooms may answer them."""
    return Refused(Code.UNAVAILABLE, "this version of the service cannot read the room; try again", cause=_CAUSE)


def is_unfoldable(error: BaseException | None) -> bool:
    """Whether this is that refusal, made here or by another service."""
    return isinstance(error, Refused) and error.cause == _CAUSE
