"""All commands put together, and how any of them ends."""

import io
import logging
import os
import sys
from typing import Annotated

import typer

from parley.cli import room_commands, token_commands
from parley.cli.completion import answer, completion, is_asked
from parley.cli.doctor.command import doctor
from parley.cli.exits import Exit, Stop
from parley.cli.join import join
from parley.cli.terminal import clean, complain, note
from parley.cli.watch import watch
from parley.version import __version__

EPILOG = (
    "PARLEY_URL and PARLEY_TOKEN say which server and who you are; without a token a server in development gives one."
)

app = typer.Typer(
    name="parley",
    help="Rooms and calls of a Parley server.",
    epilog=EPILOG,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(token_commands.app, name="token")
app.add_typer(room_commands.app, name="rooms")
app.command("join")(join)
app.command("watch")(watch)
app.command("doctor")(doctor)
app.command("completion")(completion)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"parley {__version__}\n")
        raise typer.Exit


@app.callback()
def parley(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Rooms and calls of a Parley server."""


class _Notes(logging.Handler):
    """What the SDK warns of, as a line like any other of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def run() -> int:
    """Run the command of `sys.argv`; its exit status."""
    logging.getLogger().addHandler(_Notes(logging.WARNING))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show every character still shows the rest
    try:
        if is_asked():
            answer(typer.main.get_command(app))
        status = app(prog_name="parley", standalone_mode=False)
    except Stop as stop:
        return _end(stop)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        return _unforeseen(error)
    return status if isinstance(status, int) else Exit.OK


def _end(stop: Stop) -> int:
    if stop.sentence:
        complain(f"{stop.sentence} [{stop.code}]" if stop.code else stop.sentence)
    return stop.status


def _unforeseen(error: Exception) -> int:
    """Wrong usage is typer's to find, and each of its releases has other names for it; all else is a bug of ours."""
    describe = getattr(error, "format_message", None)
    if type(error).__name__ == "Abort":
        return Exit.INTERRUPTED
    if describe is None:
        complain(f"this is a bug in parley: {type(error).__name__}: {clean(error)}")
        if os.environ.get("PYTHONFAULTHANDLER") or sys.flags.dev_mode:  # `python -X dev -m parley …`
            raise error
        return Exit.BUG
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return Exit.USAGE  # the help has been printed
    command = context.command_path if context is not None else "parley"
    complain(f"{describe().rstrip('.')} ({command} --help says more)")
    return Exit.USAGE
