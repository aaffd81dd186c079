"""The parts of one gateway process, composed once: ports, room feeds, lease, ICE servers, keys, clock and chance."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.departures import Departures
from services.gateway.ice_servers import IceServers
from services.gateway.identity import FailedLogins
from services.gateway.lease import Lease
from services.gateway.replica.room_feeds import RoomFeeds
from services.gateway.reserve import SignalReserve
from services.gateway.sealing import Sealer
from services.gateway.session_registry import SessionRegistry
from services.gateway.settings import GatewaySettings
from services.gateway.signal_quota import SignalQuota
from shared.broker.ports import Ports

Clock = Callable[[], float]
Chance = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """The parts that all sessions of a gateway share.

    `clock` gives Unix seconds, `ticks` gives seconds that only go forward, `chance(n)` gives n random bytes.
    """

    settings: GatewaySettings
    ports: Ports
    feeds: RoomFeeds
    departures: Departures
    lease: Lease
    ice: IceServers
    sealer: Sealer
    reserve: SignalReserve
    signal_quota: SignalQuota
    failed_logins: FailedLogins
    clock: Clock
    ticks: Clock
    chance: Chance
    registry: SessionRegistry = field(default_factory=SessionRegistry)

    @classmethod
    def compose(
        cls, settings: GatewaySettings, ports: Ports, *, clock: Clock, ticks: Clock, chance: Chance
    ) -> "GatewayContext":
        """The one place where a gateway's parts are put together."""
        sealer = Sealer(settings.sealing_keys(), chance)
        feeds = RoomFeeds(ports, sealer, settings.signal_seconds)
        lease = Lease(ports.leases, settings.lease_seconds, clock, chance)
        lease.recovered = feeds.resync
        return cls(
            settings=settings,
            ports=ports,
            feeds=feeds,
            departures=Departures(ports.requests),
            lease=lease,
            ice=IceServers(ports.requests, clock),
            sealer=sealer,
            reserve=SignalReserve(ports.requests, settings.signal_seconds, ticks),
            signal_quota=SignalQuota(settings),
            failed_logins=FailedLogins(settings.failed_logins, ticks),
            clock=clock,
            ticks=ticks,
            chance=chance,
        )
