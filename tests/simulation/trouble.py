"""Faults of whole processes and of the broker: killed, restarted, cut off; and the end of all faults."""

import asyncio

from tests.simulation.cluster import Cluster, Place
from tests.simulation.network import Network


class Trouble:
    """Causes a fault every few seconds, as the seed's weather says."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self._cluster = cluster
        self._network = network
        self._chance = network.chance

    async def run(self) -> None:
        """Cause faults until cancelled."""
        every = self._network.sky.weather.trouble
        while every:
            await asyncio.sleep(self._chance.expovariate(1 / every))
            self._network.spawn(self._one())

    async def _one(self) -> None:
        what = self._chance.choice(
            (self._kill, self._kill, self._cut, self._cut, self._restart, self._broker, self._full, self._timers)
        )
        await what()

    def _place(self) -> Place:
        return self._chance.choice(self._cluster.places)

    async def _kill(self) -> None:
        place = self._place()
        self._cluster.kill(place)
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 3.0, 10.0)))
        await self._cluster.bring_up(place)

    async def _restart(self) -> None:
        await self._cluster.restart(self._place())

    async def _cut(self) -> None:
        """One process has no connection to the broker for a while."""
        place = self._place()
        connection = place.connection
        if connection is None or connection.cut:
            return
        self._network.note(place.name, "is cut off")
        connection.lose()
        await asyncio.sleep(self._chance.choice((0.05, 0.5, 2.0, 6.0, 12.0)))
        self._network.note(place.name, "is back")
        await connection.find()

    async def _broker(self) -> None:
        """The broker is restarted: no process has a connection for a while."""
        broken = [
            place.connection
            for place in self._cluster.places
            if place.connection is not None and not place.connection.cut
        ]
        self._network.note("broker", "is away")
        for connection in broken:
            connection.lose()
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 3.0, 8.0)))
        self._network.note("broker", "is back")
        for connection in broken:
            await connection.find()

    async def _full(self) -> None:
        """The log refuses entries for a while."""
        self._cluster.broker.full = True
        await asyncio.sleep(self._chance.choice((0.1, 1.0, 5.0)))
        self._cluster.broker.full = False

    async def _timers(self) -> None:
        """The broker loses timers and the notes beside them, or leases, or both."""
        lost = self._chance.choice(("timers", "leases", "both"))
        self._network.note("broker", f"loses {lost}")
        if lost != "leases":
            self._cluster.broker.lose_timers()
        if lost != "timers":
            self._cluster.broker.lose_leases()

    async def end(self) -> None:
        """End all faults: every process runs again, and is connected."""
        self._network.sky.calm = True
        self._cluster.broker.full = False
        for place in self._cluster.places:
            if place.connection is not None:
                await place.connection.find()
            await self._cluster.bring_up(place)
