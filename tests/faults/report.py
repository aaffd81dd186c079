"""The table: on the terminal while it grows, and as a page at the end."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.faults.figures import Row, Verdict

STYLES = {Verdict.HOLDS: "green", Verdict.SLOW: "yellow", Verdict.WRONG: "bold red", Verdict.SKIPPED: "dim"}


def _remarks(row: Row) -> list[str]:
    return [*row.seen, *(f"slower: {one}" for one in row.slow), *(f"WRONG: {one}" for one in row.wrong)] + (
        [row.skipped] if row.skipped else []
    )


def show(console: Console, rows: Sequence[Row]) -> None:
    """For people."""
    table = Table("fault", "figure to reach", "seen", "verdict", show_lines=True)
    for row in rows:
        verdict = row.verdict
        table.add_row(
            escape(row.fault), row.figure, escape("\n".join(_remarks(row))), f"[{STYLES[verdict]}]{verdict.value}[/]"
        )
    console.print(table)


def write(path: Path, heading: str, rows: Sequence[Row]) -> None:
    """As Markdown."""
    lines = ["# Faults", "", heading, "", "| fault | figure to reach | seen | verdict |", "|---|---|---|---|"]
    for row in rows:
        cells = (row.fault, row.figure, "<br>".join(_remarks(row)), row.verdict.value)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
