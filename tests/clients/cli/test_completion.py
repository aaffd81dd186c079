"""`parley completion`: scripts that shells understand, and what they offer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.cli.runner import Cli, environment

BIN = Path(__file__).parent.parent.parent.parent / ".venv" / "bin"


def in_bash(script: str) -> list[str]:
    """What a script prints in a bash where `parley` is on the path."""
    path = f"{Path(shutil.which('parley') or BIN / 'parley').parent}:/usr/bin:/bin"
    done = subprocess.run(  # noqa: S603 - our own script
        ["bash", "-euc", script],  # noqa: S607
        env={**environment(), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def offered(*words: str) -> list[str]:
    """What bash offers after these words, of which the last one is not complete."""
    line = " ".join(f"'{word}'" for word in words)
    return in_bash(
        "source <(parley completion bash); complete -p parley > /dev/null; "
        f"COMP_WORDS=(parley {line}); COMP_CWORD={len(words)}; _parley_completion parley; echo ${{COMPREPLY[@]}}"
    )


def test_bash_offers_commands_options_and_values() -> None:
    """Sourced by bash, it completes commands, subcommands, options and choices."""
    assert set(offered("")) >= {"token", "rooms", "join", "watch", "doctor", "completion"}
    assert offered("rooms", "cr") == ["create"]
    assert offered("rooms", "list", "--cur") == ["--cursor"]
    assert offered("rooms", "create", "--type", "v") == ["voice", "video"]
    assert offered("completion", "z") == ["zsh"]


@pytest.mark.parametrize(
    ("shell", "first"), [("bash", "_parley_completion()"), ("zsh", "#compdef parley"), ("fish", "complete ")]
)
def test_every_shell_has_a_script(shell: str, first: str) -> None:
    """The script begins as the shell wants it to, also in a file (zsh looks at the first line)."""
    script = Cli()("completion", shell).out
    assert script.startswith(first)
    assert "_PARLEY_COMPLETE" in script


def test_zsh_and_fish_read_theirs() -> None:
    """Where these shells are installed, they take the script without an error."""
    shells = [shell for shell in ("zsh", "fish") if shutil.which(shell)]
    if not shells:
        pytest.skip("neither zsh nor fish is installed here")
    for shell in shells:
        script = Cli()("completion", shell).out
        subprocess.run([shell, "-n"], input=script, text=True, check=True, capture_output=True)  # noqa: S603
