"""The conversations of the release before, over the wire, with today's services.

They are taken from history, unchanged. Tests that are edited in the commit that changes what they try prove little.
"""

import sys

import pytest

from tests.upgrade.old_tree import OldTree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.mark.skipif(sys.platform != "linux", reason="today's services are forked, and end with the tests, on Linux")
@pytest.mark.parametrize("folder", ["tests/service", "tests/service/rest", "tests/service/tls"])
def test_its_conversations(tree: OldTree, folder: str) -> None:
    """What was true over WebSocket, over REST, and between gateways and rooms on NATS, is true with today's services."""
    print(f"{tree.version}: {tree.pytest(*tree.files(f'{folder}/test_*.py'))}")  # noqa: T201 - how many, for the log
