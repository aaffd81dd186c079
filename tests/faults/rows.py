"""The rows of the table by name, in the order they are run."""

from tests.faults import cluster, lost
from tests.faults.clocks import clocks
from tests.faults.damaged import damaged_store
from tests.faults.flood import flood
from tests.faults.frozen import frozen_gateway, frozen_rooms
from tests.faults.full import disk, full
from tests.faults.greedy import greedy
from tests.faults.herd import herd
from tests.faults.kills import kills
from tests.faults.race import race
from tests.faults.restore import restored, restored_without_timers
from tests.faults.rolling import restarts
from tests.faults.setups import setups
from tests.faults.silence import stuck, vanished
from tests.faults.stage import Scenario
from tests.faults.stops import stops
from tests.faults.trims import trims
from tests.faults.upgrade import upgrade

ROWS: dict[str, Scenario] = {
    "kills": kills,
    "race": race,
    "setups": setups,
    "restarts": restarts,
    "upgrade": upgrade,
    "cluster-killed": cluster.killed,
    "cluster-stopped": cluster.stopped,
    "cluster-cut": cluster.cut_off,
    "restore": restored,
    "restore-without-timers": restored_without_timers,
    "herd": herd,
    "flood": flood,
    "greedy": greedy,
    "vanished": vanished,
    "stuck": stuck,
    "frozen-rooms": frozen_rooms,
    "frozen-gateway": frozen_gateway,
    "clocks": clocks,
    "stops": stops,
    "trims": trims,
    "full": full,
    "disk": disk,
    "lost-timers": lost.timers,
    "lost-log": lost.log,
    "damaged-store": damaged_store,
}
