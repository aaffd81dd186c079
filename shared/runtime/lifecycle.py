"""The life of a process: settings, logs, loop; run until told to stop; stop in time; say in one sentence what failed."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from shared.runtime.settings import ServiceSettings, settings_or_exit
from shared.telemetry.setup import set_up
from shared.values.errors import Refused

log = structlog.get_logger()

Settings = TypeVar("Settings", bound=ServiceSettings)


class Failed(Exception):  # noqa: N818 - what ends the process, in one sentence
    """The process cannot do its work. The message is one sentence for whoever started it."""


class Stopped(Exception):  # noqa: N818 - the end that was asked for
    """Told to stop before there was anything to stop."""


def run(
    service: str, settings_class: type[Settings], serve: Callable[[Settings, asyncio.Event], Awaitable[None]]
) -> None:
    """Run `serve(settings, stop)` as this process. `stop` is set by SIGTERM or SIGINT; exit status 1 on `Failed`."""
    settings = settings_or_exit(settings_class)
    set_up(service, settings)
    # What was imported stays: the garbage collector need not walk it again and again, with everybody waiting.
    gc.collect()
    gc.freeze()
    try:
        _loop_runner()(_main(serve, settings))
    except Stopped:
        log.info("stopped before it was ready")
    except (Failed, Refused) as failure:  # refused: the broker went away before there was anything to wait for
        log.critical("stopping", why=str(failure))
        sys.stderr.write(f"{service}: {failure}\n")
        raise SystemExit(1) from None


def _loop_runner() -> Callable[[Awaitable[None]], None]:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run  # type: ignore[return-value]
    return uvloop.run  # type: ignore[return-value]


async def _main(serve: Callable[[Settings, asyncio.Event], Awaitable[None]], settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def until(stop: asyncio.Event, failed: "asyncio.Future[None]") -> None:
    """Wait until told to stop. Raises Failed when what the process stands on has failed for good."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        waiting: set[asyncio.Future[Any]] = {stopping, failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if failed.done() and not failed.cancelled() and failed.exception() is not None:
            raise Failed(str(failed.exception())) from failed.exception()
    finally:
        stopping.cancel()
