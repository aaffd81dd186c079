"""`parley completion`: the script that teaches a shell what can follow."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer
from typer import completion as shells

VARIABLE = "_PARLEY_COMPLETE"
# What typer's script for zsh ends with is right where it is sourced. As a file in `fpath` it is the body of a function,
# which is called for each completion and would offer nothing at the first one.
REGISTER = "compdef _parley_completion parley"
REGISTER_OR_ANSWER = """\
if [[ $funcstack[1] == _parley ]]; then
  _parley_completion
else
  compdef _parley_completion parley
fi"""


class Shell(StrEnum):
    """Shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)]
) -> None:
    """Print the shell's completion script.

    bash: source <(parley completion bash)
    """
    os.environ[VARIABLE] = f"source_{shell}"
    with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
        answer(context.find_root().command)
    text = script.getvalue().strip()  # zsh wants `#compdef` in the first line of a file
    sys.stdout.write(text.replace(REGISTER, REGISTER_OR_ANSWER) + "\n")


def is_asked() -> bool:
    """Whether a shell asks what can follow, instead of somebody running a command."""
    return VARIABLE in os.environ


def answer(command: Callable[..., object]) -> None:
    """Answer the shell for this command (the whole command line), and exit. The variable says what is asked."""
    shells.get_completion_inspect_parameters()  # makes the shells known, which `add_completion=False` does not
    command(args=[], prog_name="parley", complete_var=VARIABLE)
