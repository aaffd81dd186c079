"""Run many seeds, or one of them again: `python -m tests.simulation --seeds 1000`, `--seed 17 --verbose`."""

import argparse
import sys
import time

from tests.simulation.world import STEPS, Run, run


def main() -> int:
    """The exit status: 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many to run")
    parser.add_argument("--start", type=int, default=1, help="the first one")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--steps", type=int, default=STEPS, help="what clients do in one run")
    parser.add_argument("--verbose", action="store_true", help="say everything that happens")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first seed that fails")
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else range(given.start, given.start + given.seeds)
    runs: list[Run] = []
    started = time.perf_counter()
    for seed in seeds:
        runs.append(run(seed, given.steps, _say if given.verbose else None))
        if runs[-1].wrong:
            _say(f"seed {seed}: " + "\n    ".join(runs[-1].wrong[:5]))
            _say(f"    repeat with: python -m tests.simulation --seed {seed} --steps {given.steps} --verbose")
            if not given.go_on:
                break
    seconds = time.perf_counter() - started
    steps, turns = sum(one.steps for one in runs), sum(one.turns for one in runs)
    trims = sum(one.trims for one in runs)
    _say(
        f"{len(runs)} runs, {sum(bool(one.wrong) for one in runs)} failed; {trims} trims; {steps} steps, {steps / seconds:.0f} a second; "
        f"{turns / seconds:.0f} turns of the loop a second; {sum(one.virtual_seconds for one in runs):.0f} s of virtual time "
        f"in {seconds:.1f} s; the last: {runs[-1].digest}"
    )
    return any(one.wrong for one in runs)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
