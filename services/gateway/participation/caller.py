"""The caller in the gateway's requests to rooms, made from the identity that auth gave."""

from shared.auth.commands import Identity
from shared.rooms.commands import Caller


def caller_of(identity: Identity) -> Caller:
    """The part of an identity that rooms uses in its decisions."""
    return Caller(
        agent_id=identity.agent_id,
        name=identity.name,
        kind=identity.kind,
        permissions=frozenset(identity.permissions),
        guest_network=identity.guest_network,
    )
