"""How a connection is, in a few numbers."""

from dataclasses import dataclass

from parley.rtc.peer import Peer


@dataclass(frozen=True, slots=True)
class PeerStats:
    """What aiortc knows: seconds, counts and bytes since the connection began; None where nobody has said yet."""

    state: str
    generation: int
    relayed: bool
    rtt: float | None  # as the other end's reports tell
    packet_loss: float | None  # of what we receive, 0 to 1
    packets_received: int
    packets_sent: int
    bytes_received: int
    bytes_sent: int


async def stats_of(peer: Peer) -> PeerStats:
    """The numbers of the connection of the moment."""
    report = (await peer.connection.getStats()).values()
    inbound = [one for one in report if one.type == "inbound-rtp"]
    transports = [one for one in report if one.type == "transport"]
    received, lost = sum(one.packetsReceived for one in inbound), sum(max(0, one.packetsLost) for one in inbound)
    rtts = [one.roundTripTime for one in report if one.type == "remote-inbound-rtp" and one.roundTripTime is not None]
    return PeerStats(
        state=peer.state,
        generation=peer.generation,
        relayed=peer.relayed,
        rtt=min(rtts, default=None),
        packet_loss=lost / (received + lost) if received + lost else None,
        packets_received=received,
        packets_sent=sum(one.packetsSent for one in report if one.type == "outbound-rtp"),
        bytes_received=sum(one.bytesReceived for one in transports),
        bytes_sent=sum(one.bytesSent for one in transports),
    )
