"""What a row of the table says, and the figures it is made of: percentiles, and the counters of a process."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Verdict(Enum):
    """How a row ended. Speeds are reported: only what is wrong fails a run."""

    HOLDS = "holds"
    SLOW = "slower"
    WRONG = "WRONG"
    SKIPPED = "not run"


@dataclass
class Row:
    """One fault: the figure to reach and what was seen. `wrong` holds sentences about correctness, `slow` about speed."""

    fault: str
    figure: str
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    skipped: str | None = None
    details: list[str] = field(default_factory=list)  # all of what is wrong, and what the services wrote meanwhile

    @property
    def verdict(self) -> Verdict:
        """What to think of it."""
        if self.wrong:
            return Verdict.WRONG
        if self.skipped is not None:
            return Verdict.SKIPPED
        return Verdict.SLOW if self.slow else Verdict.HOLDS

    def saw(self, what: str) -> None:
        """Something worth telling."""
        self.seen.append(what)

    def expect(self, holds: bool, otherwise: str) -> None:
        """A promise: without it the row is wrong."""
        if not holds:
            self.wrong.append(otherwise)

    def hope(self, holds: bool, otherwise: str) -> None:
        """A speed: without it the row is slower than it should be."""
        if not holds:
            self.slow.append(otherwise)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0.0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Median, p99 and maximum of seconds, in words."""
    if not values:
        return "none"
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, max {max(values):.2f} s of {len(values)}"


class Exposition:
    """The metrics of a process at one moment (Prometheus' text format)."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in _SAMPLE.findall(text):
            self._samples.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))

    def __contains__(self, name: str) -> bool:
        return name in self._samples or f"{name}_bucket" in self._samples

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values; of a histogram those of its buckets."""
        return self._samples.get(name) or self._samples.get(f"{name}_bucket", [])

    def total(self, name: str, **labels: str) -> float:
        """The sum over all that have these labels; 0.0 if there is none."""
        return sum(value for has, value in self._samples.get(name, []) if labels.items() <= has.items())

    def buckets(self, name: str, **wanted: str) -> dict[float, float]:
        """A histogram: how many were at most so much, over all that have these labels."""
        found: dict[float, float] = {}
        for labels, value in self._samples.get(f"{name}_bucket", []):
            if not wanted.items() <= labels.items():
                continue
            edge = float(labels["le"])
            found[edge] = found.get(edge, 0.0) + value
        return dict(sorted(found.items()))


def histogram_percentile(before: dict[float, float], after: dict[float, float], share: float) -> float | None:
    """The upper edge of the bucket in which this share of what came between lies; None if nothing came."""
    came = {edge: count - before.get(edge, 0.0) for edge, count in after.items()}
    total = max(came.values(), default=0.0)
    if total <= 0:
        return None
    return next(edge for edge, count in came.items() if count >= share * total)
