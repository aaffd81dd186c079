"""A simulated process: all its tasks, which die together, and a flag that stops its later callbacks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar, cast

Result = TypeVar("Result")

_current: "ContextVar[Process | None]" = ContextVar("process", default=None)


class Process:
    """A process of the simulated system. Code that runs in `context` belongs to it, and so do tasks started there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.context = copy_context()
        self.context.run(_current.set, self)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._prune_at = 64

    def spawn(self, work: Awaitable[Result]) -> asyncio.Task[Result]:
        """Start a task that belongs to this process."""
        coroutine = cast("Coroutine[Any, Any, Result]", work)  # handlers are coroutines, though their type says less
        return asyncio.get_running_loop().create_task(coroutine, context=self.context)

    def soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call something inside this process, unless it has died by then."""
        asyncio.get_running_loop().call_soon(self.run, call, *arguments, context=self.context)

    def run(self, call: Callable[..., object], *arguments: Any) -> None:
        """Run a callback in this process's context, unless the process is dead."""
        if not self.dead:
            call(*arguments)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take a task that was started inside. One that a dead process starts while it cleans up never runs."""
        if self.dead:
            task.cancel()
            return
        self._tasks[task] = None
        if len(self._tasks) > self._prune_at:
            self._tasks = {task: None for task in self._tasks if not task.done()}
            self._prune_at = 2 * len(self._tasks) + 64

    def kill(self) -> None:
        """Kill the process: cancel its tasks, whatever they wait for."""
        self.dead = True
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()


def task_factory(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Result] | Generator[Any, None, Result],
    **options: Any,
) -> asyncio.Task[Result]:
    """Makes tasks, and adds each to the process that it belongs to."""
    context = options.get("context")
    process = context.get(_current) if context is not None else _current.get()
    task = asyncio.Task(cast("Coroutine[Any, Any, Result]", work), loop=loop, **options)
    if process is not None:
        process.adopt(task)
    return task
