"""`parley completion`: scripts that shells understand, and what they offer."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from tests.clients.cli.runner import Cli, environment
from tests.support.needed import needed
from tests.support.processes import PATIENCE

BIN = Path(__file__).parent.parent.parent.parent / ".venv" / "bin"


def with_parley() -> str:
    """A PATH with `parley` on it."""
    return f"{Path(shutil.which('parley') or BIN / 'parley').parent}:/usr/bin:/bin"


def in_bash(script: str) -> list[str]:
    """What a script prints in a bash where `parley` is on the path."""
    done = subprocess.run(  # noqa: S603 - our own script
        ["bash", "-euc", script],  # noqa: S607
        env={**environment(), "PATH": with_parley()},
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


def test_zsh_completes_from_fpath(tmp_path: Path) -> None:
    """In a folder of `fpath`, as the documentation says, it completes at the first press of Tab and at the next ones."""
    zsh = needed("zsh")
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "_parley").write_text(Cli()("completion", "zsh").out)
    (tmp_path / ".zshrc").write_text(f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u; PS1='ready> '\n")
    with Typist(str(zsh), "-i", HOME=str(tmp_path), ZDOTDIR=str(tmp_path)) as typist:
        typist.wait_for("ready> ")
        for _ in range(2):
            typist.press("parley rooms cr\t")
            typist.wait_for("parley rooms create ")
            typist.press("\x15")  # Ctrl-U: a new line
        typist.press("parley completion z\t")
        typist.wait_for("parley completion zsh ")


def test_fish_completes_from_its_folder(tmp_path: Path) -> None:
    """In fish's folder of completions, as the documentation says, it offers commands with what they are for."""
    fish = needed("fish")
    folder = tmp_path / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "parley.fish").write_text(Cli()("completion", "fish").out)
    done = subprocess.run(  # noqa: S603 - our own command
        [fish, "-c", "complete --do-complete 'parley rooms cr'"],
        env={**environment(), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PATH": with_parley()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\t")[0].strip() == "create"
    assert "Make a room" in done.stdout


class Typist:
    """A program in a terminal of its own, and somebody who types there."""

    def __init__(self, *command: str, **more: str) -> None:
        self._terminal, program_side = pty.openpty()
        self._seen = b""
        self._program = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=program_side,
            stdout=program_side,
            stderr=program_side,
            env={**environment(TERM="dumb"), "PATH": with_parley(), **more},
            start_new_session=True,
        )
        os.close(program_side)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        """Type this."""
        self._seen = b""
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str, within: float = PATIENCE) -> None:
        """Wait until this was written since the last press."""
        deadline = time.monotonic() + within
        while text.encode() not in self._seen:
            assert time.monotonic() < deadline, f"{text!r} was not written, but {self._seen!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._seen += os.read(self._terminal, 65536)
