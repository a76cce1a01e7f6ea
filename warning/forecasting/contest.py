"""Whether a newly trained model may take the place of the one in force."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Skill = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Contest:
    """How a new model did against the one in force, `against`, on the same validation parts.

    `new` and `old` are the geometric means of MAE / MAE(persistence) over the leads of the dams that both
    forecast, NaN where there are none; `forgotten` are watched dams that only the old model knows.

    >>> Contest("old", new=0.8, old=0.9, forgotten=()).won
    True
    >>> Contest("old", new=math.nan, old=0.9, forgotten=()).won
    False
    """

    against: str
    new: float
    old: float
    forgotten: tuple[str, ...]

    @property
    def won(self) -> bool:
        """Say whether the new model is not worse, and leaves out no dam that the old one knows.

        Where the old one cannot be measured on any dam, a new one that can be wins.
        """
        return not self.forgotten and (self.new <= self.old or (math.isnan(self.old) and self.new > 0))

    @property
    def words(self) -> str:
        """Say in one sentence how it went."""
        if self.forgotten:
            return f"it could not learn {', '.join(self.forgotten)}, which {self.against} forecasts"
        if math.isnan(self.old):
            return f"{self.against} could not be measured on the same validation part"
        compared = f"{self.new:.3f} of persistence's error, {self.against} {self.old:.3f}"
        better = "not worse" if self.won else "worse"
        return f"it is {better} on the same validation part ({compared})"


def contest_of(against: str, new: Skill, old: Skill, known: Iterable[str]) -> Contest:
    """Compare the skills by dam of two models that were measured on the same days.

    `known` are the watched dams that the old one knows.
    """
    pairs = [
        (ours, theirs)
        for name in new.keys() & old.keys()
        for ours, theirs in zip(new[name], old[name], strict=True)
        if ours > 0 and theirs > 0 and math.isfinite(ours) and math.isfinite(theirs)
    ]
    forgotten = tuple(sorted(set(known) - new.keys()))
    if not pairs:
        alone = [ratio for row in new.values() for ratio in row]
        return Contest(against, _mean(alone), math.nan, forgotten)
    ours, theirs = zip(*pairs, strict=True)
    return Contest(against, _mean(ours), _mean(theirs), forgotten)


def _mean(ratios: Iterable[float]) -> float:
    """Geometric mean of those that are known."""
    known = [math.log(ratio) for ratio in ratios if ratio > 0 and math.isfinite(ratio)]
    return math.exp(sum(known) / len(known)) if known else math.nan
