"""A fixture with real processes: a deployment whose parts can be killed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.processes import Deployment


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """NATS and the three services, each for itself; requests give up after two seconds.

    Seats are held for two seconds, and the lease is long, so that nobody is closed while NATS is away.
    """
    deployment = Deployment(tmp_path, REQUEST_TIMEOUT="2", GRACE_SECONDS="2", LEASE_SECONDS="30")
    try:
        await deployment.start()
        yield deployment
    finally:
        await deployment.stop()
