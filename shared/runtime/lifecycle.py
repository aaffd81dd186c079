"""The life of a process: reads settings, sets up logs and the event loop, runs until it is told to stop or fails."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from shared.runtime.settings import ServiceSettings, SettingsError
from shared.runtime.told import TOLD
from shared.telemetry import logs
from shared.telemetry.setup import set_up
from shared.values.errors import Refused

log = structlog.get_logger()

Settings = TypeVar("Settings", bound=ServiceSettings)


class Failed(Exception):  # noqa: N818 - what ends the process, in one sentence
    """The process cannot do its work. The message is one sentence for the person who started it."""


class Stopped(Exception):  # noqa: N818 - the end that was asked for
    """The process was told to stop before it was ready."""


class Wishes:
    """What the process was told: to stop, or to read its files anew."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()


def run(service: str, settings_class: type[Settings], serve: Callable[[Settings, Wishes], Awaitable[None]]) -> None:
    """Run `serve(settings, wishes)` as this process. SIGTERM and SIGINT set `wishes.stop`, SIGHUP sets `wishes.reload`.

    Exit status 1 on `Failed`, 2 when the settings are wrong, each with one line that says why.
    """
    TOLD.heed()
    settings = _settings_or_exit(service, settings_class)
    set_up(service, settings)
    # Imported modules stay for the life of the process. Freeze them, so that the garbage collector does not walk them.
    gc.collect()
    gc.freeze()
    try:
        _loop_runner()(_main(serve, settings))
    except Stopped:
        log.info("stopped before it was ready")
    except (Failed, Refused) as failure:  # Refused: the broker went away while the service was starting
        log.critical("stopping", why=str(failure))
        raise SystemExit(1) from None
    finally:
        TOLD.end()


def _settings_or_exit(service: str, settings_class: type[Settings]) -> Settings:
    try:
        return settings_class.read()
    except SettingsError as error:
        # Without settings: a terminal is for people, everything else for machines.
        logs.write_lines(service, "console" if sys.stdout.isatty() else "json", "info")
        log.critical("stopping", why=str(error))
        raise SystemExit(2) from None


def _loop_runner() -> Callable[[Awaitable[None]], None]:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.run  # type: ignore[return-value]
    return uvloop.run  # type: ignore[return-value]


async def _main(serve: Callable[[Settings, Wishes], Awaitable[None]], settings: Settings) -> None:
    wishes = Wishes()
    TOLD.tell(wishes.stop.set, wishes.reload.set)
    await serve(settings, wishes)


async def until(stop: asyncio.Event, failed: "asyncio.Future[None]") -> None:
    """Wait for `stop`. Raises Failed when `failed` has an exception: the connection that the process needs is lost."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        waiting: set[asyncio.Future[Any]] = {stopping, failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if failed.done() and not failed.cancelled() and failed.exception() is not None:
            raise Failed(str(failed.exception())) from failed.exception()
    finally:
        stopping.cancel()
