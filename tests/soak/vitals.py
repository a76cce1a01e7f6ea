"""Memory and file handles over the lives of the daemon: flat, or a violation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

WARM_UP_DAYS = 10.0
JUDGED_FROM_DAYS = 60.0
MOST_KIB_A_DAY = 60.0
MOST_FILES_A_DAY = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at the process found."""

    at: datetime
    rss_kib: int
    files: int
    threads: int


class Vitals:
    """One list of samples per life."""

    def __init__(self) -> None:
        self.lives: list[list[Sample]] = []

    def begin_life(self) -> None:
        self.lives.append([])

    def add(self, at: datetime, answer: Mapping[str, int]) -> None:
        if answer:
            self.lives[-1].append(Sample(at, answer["rss_kib"], answer["files"], answer["threads"]))

    def longest(self) -> list[Sample]:
        """The samples of the longest life after it has warmed up."""
        life = max(self.lives, key=_days, default=[])
        return [s for s in life if (s.at - life[0].at).total_seconds() > WARM_UP_DAYS * 86_400]

    def lines(self) -> Iterator[str]:
        life = self.longest()
        longest_days = max(map(_days, self.lives), default=0.0)
        yield f"lives: {len(self.lives)}, the longest {longest_days:.0f} days; in it, after its first days:"
        if len(life) < 10:
            return
        for name in ("rss_kib", "files", "threads"):
            values = [getattr(s, name) for s in life]
            yield (
                f"{name} from {values[0]} to {values[-1]}, least {min(values)}, "
                f"most {max(values)}, slope {slope(life, name):+.3f} a day"
            )

    def complaints(self) -> Iterator[str]:
        life = self.longest()
        if _days(life) < JUDGED_FROM_DAYS:
            return
        if slope(life, "rss_kib") > MOST_KIB_A_DAY:
            yield f"memory grows by {slope(life, 'rss_kib'):.0f} KiB a day over {_days(life):.0f} days"
        if slope(life, "files") > MOST_FILES_A_DAY:
            yield f"open files grow by {slope(life, 'files'):.3f} a day over {_days(life):.0f} days"


def _days(life: list[Sample]) -> float:
    return (life[-1].at - life[0].at).total_seconds() / 86_400 if life else 0.0


def slope(life: list[Sample], name: str) -> float:
    """Least squares, per day."""
    days = [(s.at - life[0].at).total_seconds() / 86_400 for s in life]
    values = [float(getattr(s, name)) for s in life]
    mean_day, mean = sum(days) / len(days), sum(values) / len(values)
    spread = sum((d - mean_day) ** 2 for d in days)
    return (
        sum((d - mean_day) * (v - mean) for d, v in zip(days, values, strict=True)) / spread
        if spread
        else 0.0
    )
