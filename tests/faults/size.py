"""How big a run is: the long one, on demand, and the short one, which is part of `make test`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Counts of things and seconds; the defaults are the long run."""

    short: bool = False
    clients: int = 200  # that join, call and leave while things are killed
    kills: int = 100
    pause: float = 2.0  # between two acts of a client
    rounds: int = 200
    racers: int = 100
    calls: int = 50
    real_calls: int = 50
    restarts: int = 5
    steady: int = 60  # clients under which everything is restarted, or a NATS server cut off
    herd: int = 2000
    frozen: float = 20.0  # seconds a service hangs
    wrong_clocks: float = 60.0  # seconds of load with hosts whose clocks are wrong
    stops: int = 20  # of each service while there is no NATS
    strangers: int = 1000  # that flood a gateway
    flooded: float = 10.0  # seconds of each way to do so
    broken: float = 20.0  # seconds a NATS server is away
    measured: float = 10.0  # seconds of traffic that latencies are taken from
    grace: float = 6.0
    lease: float = 4.0
    ping: float = 10.0
    kept: float = 12.0  # for which logs that one client fills are kept

    @property
    def patient(self) -> dict[str, str]:
        """Grace and lease as in production, for faults that everybody should survive."""
        grace, lease = 30.0, 8.0
        kept = f"{grace + 2 * self.ping + lease + 10:.0f}"
        return {"GRACE_SECONDS": f"{grace:g}", "LEASE_SECONDS": f"{lease:g}", "SIGNAL_SECONDS": kept}

    @property
    def settings(self) -> dict[str, str]:
        """For the services."""
        return {
            "GRACE_SECONDS": f"{self.grace:g}",
            "LEASE_SECONDS": f"{self.lease:g}",
            "PING_SECONDS": f"{self.ping:g}",
            "SIGNAL_SECONDS": f"{self.grace + 2 * self.ping + self.lease + 10:.0f}",
            "REQUEST_TIMEOUT": "2",
            "CONNECTIONS_PER_ADDRESS": "20000",
        }


LONG = Size()
SHORT = Size(
    short=True,
    clients=24,
    kills=6,
    pause=0.5,
    rounds=8,
    racers=30,
    calls=8,
    real_calls=2,
    restarts=1,
    steady=16,
    herd=200,
    frozen=5.0,
    wrong_clocks=20.0,
    stops=3,
    flooded=4.0,
    broken=8.0,
    measured=3.0,
    grace=4.0,
    lease=2.0,
    ping=2.0,
    kept=3.0,
)
