"""A room's STUN and TURN servers as aiortc wants them, and what its connections say about their paths."""

import logging
from collections.abc import Iterable

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.rtcicetransport import parse_stun_turn_uri

from parley.ice_server import IceServer

logger = logging.getLogger(__name__)


def configuration(servers: Iterable[IceServer], *, relay_only: bool) -> RTCConfiguration:
    """What a new connection is made with. aiortc uses one STUN server and one TURN server, the first it can."""
    usable = []
    for server in servers:
        urls = [url for url in server.urls if _usable(url)]
        if urls:
            usable.append(RTCIceServer(urls=urls, username=server.username, credential=server.credential))
    return RTCConfiguration(
        iceServers=usable,  # also when it is empty: the default would be somebody's server in the internet
        iceTransportPolicy=RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL,
        bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
    )


def _usable(url: str) -> bool:
    try:
        parse_stun_turn_uri(url)
    except ValueError:
        logger.warning("aiortc does not understand the ICE server %s", url)
        return False
    return True


def relayed(connection: RTCPeerConnection) -> bool:
    """Whether the path in use goes over our TURN server. aiortc has no public name for that."""
    for transceiver in connection.getTransceivers():
        if _relayed(transceiver.receiver.transport):
            return True
    return connection.sctp is not None and _relayed(connection.sctp.transport)


def _relayed(dtls: object) -> bool:
    ice = getattr(getattr(dtls, "transport", None), "_connection", None)
    pairs = getattr(ice, "_nominated", {}).values()
    return any(getattr(getattr(pair, "local_candidate", None), "type", None) == "relay" for pair in pairs)
