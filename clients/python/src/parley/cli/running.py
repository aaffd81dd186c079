"""Runs what goes on until somebody stops it: Ctrl-C and SIGTERM end it in order, a second one at once."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

from parley.cli.exits import Exit, Stop

_STATUS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}


def run(work: Coroutine[Any, Any, None]) -> None:
    """Until it ends by itself, or is cancelled by a signal. Raises what it raises, and Stop for a signal."""
    asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    came: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        came.append(number)
        for each in _STATUS:
            loop.remove_signal_handler(each)  # whoever asks twice does not want to wait
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
        for number in _STATUS:
            loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not came:
            raise
    if came:
        raise Stop(_STATUS[came[0]])
