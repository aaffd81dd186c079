"""Which tests run when and beside which: the two tiers, and the groups of them that pytest-xdist keeps in one process.

`make test` leaves out what is marked `slow`; `make test-all` runs everything. `bus_kind` of `tests/service` is the
in-memory bus in the first, and NATS as well in the second; where the claim is about races, replicas, holes or resume,
the test is marked `both_buses` and runs on both in either.
"""

from collections.abc import Sequence

import pytest

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
# Each test of these may run in any process. The tests of every other file stay together, for what they share is dear.
SPREAD = ("tests/simulation/", "tests/unit/")
# Long ones first, so that no process is left alone with one of them at the end.
ORDER = (*MACHINE, "tests/clients/", "tests/processes/", "tests/contract/", "tests/service/", "tests/simulation/")


def sort(items: list[pytest.Item]) -> None:
    """Put the tests of one run in order and in groups, and mark those that only `make test-all` runs."""
    for item in items:
        if _is_for_the_longer_run(item):
            item.add_marker(pytest.mark.slow)
        path = _path(item)
        if path.startswith(MACHINE):
            item.add_marker(pytest.mark.xdist_group("machine"))
        elif not path.startswith(SPREAD):
            item.add_marker(pytest.mark.xdist_group(path.removesuffix(".py").rpartition("/")[2]))
    items.sort(key=lambda item: _place(_path(item), ORDER))


def _path(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _place(path: str, order: Sequence[str]) -> int:
    return next((place for place, start in enumerate(order) if path.startswith(start)), len(order))


def _is_for_the_longer_run(item: pytest.Item) -> bool:
    """A conversation that another test has on the bus in memory, and whose claim is not about the bus."""
    if not _path(item).startswith("tests/service/") or item.get_closest_marker("both_buses"):
        return False
    chosen = [mark for mark in item.iter_markers("parametrize") if mark.args[0] == "bus_kind"]
    return not chosen and getattr(item, "callspec", None) is not None and item.callspec.params.get("bus_kind") == "nats"  # type: ignore[attr-defined]
