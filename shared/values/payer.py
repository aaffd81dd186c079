"""Whose quota something counts in: an agent's, or for a guest its network's and that of all guests together. Pure.

A guest is a new agent with each token. So what guests use up counts for the network that got the token.
"""

from dataclasses import dataclass
from typing import Literal

from shared.values.ids import AgentId

Whose = Literal["agent", "network", "guests"]

ALL_GUESTS = "guests"


@dataclass(frozen=True, slots=True)
class Payer:
    """One name under which something is counted, and what kind of name it is."""

    whose: Whose
    name: str


def payers_of(agent_id: AgentId, guest_network: str | None) -> tuple[Payer, ...]:
    """All that have to pay for what this agent does. `guest_network` is that of `Identity`: None for who is no guest."""
    if guest_network is None:
        return (Payer("agent", f"agent {agent_id}"),)
    return (Payer("network", f"network {guest_network}"), Payer("guests", ALL_GUESTS))
