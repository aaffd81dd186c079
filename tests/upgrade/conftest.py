"""The release before, as files: once for each file of tests."""

import pytest

from tests.upgrade.old_tree import OldTree
from tests.upgrade.past import past_release

BEFORE_THE_SDKS = ("0.1.0", "0.2.0")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> OldTree:
    """The release before."""
    past = past_release()
    if past.version in BEFORE_THE_SDKS:
        pytest.skip(f"{past.version} has no SDKs, and tests that nothing here can stand in for: this begins with 0.3.0")
    return OldTree(past, tmp_path_factory.mktemp("before"))
