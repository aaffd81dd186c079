"""The fault suite at its short size: what must hold, holds. How fast, the long run says (`make faults`)."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.rows import ROWS
from tests.faults.size import SHORT

SEED = 1
WITHIN = 240.0  # seconds; an upgrade, back and again takes a minute where nothing else runs
# Stopped and cut off look the same from outside, and each takes its time; the long run has both.
SHORT_ROWS = [name for name in ROWS if name != "cluster-stopped"]
# One of each kind of fault in every run; the others with `make test-all`.
EVERY_TIME = {"kills", "race", "cluster-killed", "herd", "frozen-rooms", "full"}


@pytest.mark.timeout(WITHIN + 60)  # a row that is cut off says what the services said last
@pytest.mark.parametrize(
    "name", [name if name in EVERY_TIME else pytest.param(name, marks=pytest.mark.slow) for name in SHORT_ROWS]
)
async def test_what_must_hold_holds(name: str, tmp_path: Path) -> None:
    """Whatever is killed, stopped or cut off for real: nothing acknowledged is lost, logs keep their promises, replies
    and every client's own view agree with them, signals arrive once or their receiver is gone, and nobody is left."""
    async with asyncio.timeout(WITHIN):
        row = await ROWS[name](tmp_path, SHORT, random.Random(f"{SEED} {name}"))
    if row.skipped is not None and not row.wrong:
        pytest.skip(row.skipped)
    assert not row.wrong, "\n".join([*row.wrong, "", *row.seen, "", *row.details])
