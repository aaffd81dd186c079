"""A pytest plugin beside `stand_in.py`: leaves out what cannot be run, as `not_run.py` lists it."""

import json
import os

import pytest

NOT_RUN: dict[str, str] = json.loads(os.environ["PARLEY_UPGRADE_NOT_RUN"])  # what a test's id begins with -> why


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the list names and no test is called is an error: the list must be true."""
    stale = [start for start in NOT_RUN if not any(item.nodeid.startswith(start) for item in items)]
    if stale:
        raise pytest.UsageError(f"not_run.py names what does not exist: {stale}")
    left_out = [item for item in items if _is_of_the_process(item) or item.nodeid.startswith(tuple(NOT_RUN))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_of_the_process(item: pytest.Item) -> bool:
    """Whether all its services are in the process of the test, on a broker in memory: there is nothing of today."""
    return "[memory" in item.nodeid or "virtual" in getattr(item, "fixturenames", ())
