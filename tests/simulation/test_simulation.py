"""Whole days of the system in seconds: what every seed must survive, and that a seed says it all."""

import os
import subprocess
import sys

import pytest

from tests.simulation.world import run

ALWAYS, LONGER = range(1, 16), range(16, 61)


@pytest.mark.parametrize("seed", [*ALWAYS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in LONGER)])
def test_all_books_agree(seed: int) -> None:
    """Whatever was lost, late, doubled or killed: logs, answers and views tell one story in the end."""
    agree(seed)


def test_all_books_agree_by_chance(chosen_seed: int) -> None:
    """So they do with a seed that nobody has tried before; the head of the run says which."""
    agree(chosen_seed)


def agree(seed: int) -> None:
    """Run it, and look."""
    one = run(seed)
    assert not one.wrong, (
        f"seed {seed}: {one.wrong[0]}\nrepeat with: python -m tests.simulation --seed {seed} --verbose"
    )
    assert one.trims, f"seed {seed}: no log was trimmed"


def test_a_seed_says_it_all() -> None:
    """The same seed is the same run, in another process and with another order of its sets as well."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--steps", "100"]
    digests = {
        subprocess.run(  # noqa: S603 - this very program
            command, env={**os.environ, "PYTHONHASHSEED": order}, capture_output=True, text=True, check=False
        ).stdout.split()[-1]
        for order in ("1", "2")
    }
    assert digests == {run(7, 100).digest}
