"""The SDKs of the release before, with today's gateways: their own tests, taken from history, unchanged."""

from collections.abc import Iterator

import pytest

from tests.clients.test_js import pid_of
from tests.support.launched import Launched
from tests.support.needed import needed
from tests.upgrade.old_tree import OldTree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Everything of today, with two gateways."""
    launched = Launched(
        tmp_path_factory.mktemp("today") / "data", environment={"GATEWAYS": "2", "PARLEY_DRAIN_SECONDS": "8"}
    )
    try:
        yield launched.ready()
        launched.stop()
    finally:
        launched.destroy()


def test_python(tree: OldTree) -> None:
    """Sessions, calls, cut lines and killed gateways: programs that were built with it go on working."""
    print(f"{tree.version}: {tree.pytest('tests/clients/python')}")  # noqa: T201 - how many, for the log


def test_javascript(tree: OldTree, doubled: Launched) -> None:
    """Gateways are stopped and killed under it: pages that were built with it go on working."""
    needed("node")
    pids = ",".join(str(pid_of(doubled, url)) for url in doubled.urls)
    tree.vitest(PARLEY_URLS=",".join(doubled.urls), PARLEY_PIDS=pids)
