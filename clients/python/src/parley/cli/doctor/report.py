"""What was found: one sentence for each thing looked at, and one that says what to do (pure but for the printing)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from parley.cli.terminal import clean, say

Status = Literal["ok", "note", "wrong", "unknown", "skipped"]
STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red", "unknown": "bold yellow", "skipped": "dim"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is a stable word for scripts."""

    about: str
    status: Status
    sentence: str
    advice: str = ""

    def json(self) -> dict[str, Any]:
        """For `--json`."""
        found = {"about": self.about, "status": self.status, "found": self.sentence}
        return found | ({"advice": self.advice} if self.advice else {})

    def show(self) -> None:
        """For people."""
        indent = " " * 19
        say(
            Text.assemble(
                (f"{self.status:<8}", STYLES[self.status]), (f"{self.about:<11}", "bold"), clean(self.sentence)
            )
        )
        if self.advice:
            say(Text(f"{indent}→ {clean(self.advice)}"))


class Report:
    """The findings in the order they were made; `tell` hears each at once."""

    def __init__(self, tell: Callable[[Finding], None]) -> None:
        self.findings: list[Finding] = []
        self._tell = tell

    def add(self, about: str, status: Status, sentence: str, advice: str = "") -> None:
        """One more."""
        finding = Finding(about, status, sentence, advice)
        self.findings.append(finding)
        self._tell(finding)

    def ok(self, about: str, sentence: str) -> None:
        """This is as it should be."""
        self.add(about, "ok", sentence)

    def note(self, about: str, sentence: str, advice: str = "") -> None:
        """This may be as it should be."""
        self.add(about, "note", sentence, advice)

    def wrong(self, about: str, sentence: str, advice: str) -> None:
        """This will not work, and what to do."""
        self.add(about, "wrong", sentence, advice)

    def unknown(self, about: str, sentence: str, advice: str = "") -> None:
        """This could not be judged, and why. It may be broken."""
        self.add(about, "unknown", sentence, advice)

    def skipped(self, about: str, sentence: str, advice: str = "") -> None:
        """Nobody wanted this to be looked at, and why."""
        self.add(about, "skipped", sentence, advice)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, of all that was to be judged."""
        return not self.has("wrong") and not self.has("unknown")

    def has(self, status: Status) -> bool:
        """Whether there is such a finding."""
        return any(finding.status == status for finding in self.findings)
