"""The two tiers of tests, and the groups of tests that pytest-xdist keeps in one process.

`make test` leaves out what is marked `slow`; `make test-all` runs everything. `broker_kind` of `tests/service` is the
broker in memory in the first, and NATS as well in the second; where the claim is about races, replicas, holes or resume,
the test is marked `on_both` and runs on both in either.
"""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

# What pictures, sound and the clock of a fault depend on is the machine: these run one after another, beside the others.
MACHINE = (
    "tests/faults/",
    "tests/browser/",
    "tests/turn/test_relay.py",
    "tests/clients/test_web_developers.py",
    "tests/clients/python/test_calls.py",
    "tests/clients/python/test_ice.py",
    "tests/clients/python/test_agent",
)
# Tests of these files may run in any process. Those of every other file stay together, since they share costly set-up.
SPREAD = ("tests/simulation/", "tests/unit/")
# Long ones first, so that no process is left alone with one of them at the end.
ORDER = (
    *MACHINE,
    "tests/upgrade/",
    "tests/clients/",
    "tests/processes/",
    "tests/contract/",
    "tests/service/",
    "tests/simulation/",
)


class Groups(LoadScopeScheduling):
    """Hands groups of tests to the processes, one after another. (xdist's own groups do nothing with pytest 9.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The name of a test's group."""
    if nodeid.startswith(MACHINE):
        return "machine"
    return nodeid if nodeid.startswith(SPREAD) else _path(nodeid)


def sort(items: list[pytest.Item]) -> None:
    """Put the tests of one run in order, and mark those that only `make test-all` runs."""
    for item in items:
        if _is_for_the_longer_run(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: _place(item.nodeid, ORDER))


def _path(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _place(nodeid: str, order: Sequence[str]) -> int:
    return next((place for place, start in enumerate(order) if nodeid.startswith(start)), len(order))


def _is_for_the_longer_run(item: pytest.Item) -> bool:
    """A conversation that another test has on the broker in memory, and whose claim is not about the broker."""
    if not item.nodeid.startswith("tests/service/") or item.get_closest_marker("on_both"):
        return False
    chosen = [mark for mark in item.iter_markers("parametrize") if mark.args[0] == "broker_kind"]
    call = getattr(item, "callspec", None)
    return not chosen and call is not None and call.params.get("broker_kind") == "nats"
