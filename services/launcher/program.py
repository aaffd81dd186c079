"""Runs every service and an embedded NATS server as separate processes, for development and small installations.

`python -m services` prints its URLs and how to use them. Ctrl-C stops everything.
"""

import asyncio

import typer
from typer.exceptions import TyperException

from services.launcher.launcher import Launcher
from services.launcher.lines import errors
from services.launcher.options import command
from services.launcher.plan import CannotStart, Plan
from services.registry import REGISTRY, Registry
from shared.runtime.settings import SettingsError
from shared.runtime.told import TOLD


def _start(plan: Plan) -> None:
    plan.check()
    try:
        asyncio.run(Launcher(plan).run())
    finally:
        TOLD.end()


def run(registry: Registry = REGISTRY) -> int:
    """Run until Ctrl-C, and return the exit status: 1, after one sentence on standard error, when it cannot start."""
    app = typer.Typer(add_completion=False)
    app.command()(command(registry, _start))
    try:
        app(standalone_mode=False)
    except TyperException as error:
        why = _sentence(error)
    except (CannotStart, SettingsError) as error:
        why = str(error)
    else:
        return 0
    errors.print(f"parley cannot start: {why}", markup=False)
    return 1


def _sentence(error: TyperException) -> str:
    """The error in the form of settings errors, with the variable's name."""
    option = getattr(error, "param", None)
    if option is None:
        return error.format_message()
    names = option.envvar
    return f"{names if isinstance(names, str) else names[0]}: {error.message}"
