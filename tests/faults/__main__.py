"""`make faults`: one row after another, a table, the same as a page; exit status 1 if anything was wrong."""

import asyncio
import logging
import os
import platform
import random
import tempfile
import time
from pathlib import Path

import structlog
import typer
from rich.console import Console

from shared.version import __version__
from tests.faults.figures import Row, Verdict
from tests.faults.report import show, write
from tests.faults.rows import ROWS
from tests.faults.size import LONG, SHORT, Size
from tests.faults.stage import Scenario

console = Console(highlight=False, markup=True)


async def play(name: str, scenario: Scenario, size: Size, seed: int) -> Row:
    """One row. What it could not finish is wrong as well."""
    started = time.monotonic()
    console.print(f"[bold]{name}[/] …")
    with tempfile.TemporaryDirectory() as folder:
        try:
            row = await scenario(Path(folder), size, random.Random(f"{seed} {name}"))
        except Exception as error:
            console.print_exception()
            row = Row(name, "", wrong=[f"did not come to its end: {type(error).__name__}: {error}"])
    row.saw(f"took {time.monotonic() - started:.0f} s")
    return row


def main(
    names: list[str] = typer.Argument(None, help=f"Rows, of: {', '.join(ROWS)}. All without."),  # noqa: B008
    short: bool = typer.Option(False, "--short", help="The sizes of `make test`."),
    seed: int = typer.Option(1, help="Which dice."),
    page: Path = typer.Option(Path("build/faults.md"), help="Where the table is written to."),  # noqa: B008
) -> None:
    """Break everything, and look what holds."""
    unknown = sorted(set(names or ()) - ROWS.keys())
    if unknown:
        raise typer.BadParameter(f"no such row: {unknown[0]}")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )  # of our own look at NATS
    size = SHORT if short else LONG
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    heading = f"Parley {__version__}; {machine}; {'short' if short else 'long'} run, seed {seed}; clients and services share the machine."
    rows: list[Row] = []
    for name in names or ROWS:
        rows.append(asyncio.run(play(name, ROWS[name], size, seed)))
        show(console, rows[-1:])
        write(page, heading, rows)
        if rows[-1].verdict is Verdict.WRONG:
            evidence = page.with_name(f"{page.stem}-{name}.txt")
            evidence.write_text("\n".join([*rows[-1].wrong, "", *rows[-1].details]) + "\n")
            console.print(f"all that is wrong, and the services' lines: {evidence}")
    if len(rows) > 1:
        show(console, rows)
    console.print(f"written to {page}")
    if any(row.verdict is Verdict.WRONG for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
