"""On whose behalf the gateway asks: the identity auth gave, as rooms takes it."""

from shared.auth.commands import Identity
from shared.rooms.commands import Caller


def caller_of(identity: Identity) -> Caller:
    """The part of an identity that rooms decides on."""
    return Caller(
        agent_id=identity.agent_id,
        name=identity.name,
        kind=identity.kind,
        permissions=frozenset(identity.permissions),
    )
