"""The rules between the keys of reservoirs.toml, each checked as far as its own keys could be understood."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from warning.config.drafts import (
    DefaultsDraft,
    ReservoirDraft,
    ReservoirsFile,
    RiseThresholdDraft,
    ThresholdDraft,
)
from warning.config.problems import Complaints, KeyPath, alternatives, rendered_key, shown

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ID_RULE = "up to 64 small letters, digits, _ and -, the first a letter or digit (it names files)"

Ranks = Mapping[str, int]


def check_reservoirs(
    draft: ReservoirsFile, ranks: Ranks | None, recipients: Sequence[str] | None, complaints: Complaints
) -> None:
    """Complain about every rule that reservoirs.toml breaks.

    `ranks` are the severities' ranks by name and `recipients` the ids that recipients.toml defines;
    None where these could not be understood, which suspends the rules about them.
    """
    if draft.defaults:
        _check_instructions(draft.defaults, ("defaults",), ranks, complaints)
    if draft.reservoirs == {}:
        remedy = "add a table [reservoirs.ID] for each dam"
        complaints.add(("reservoirs",), found="no dam", expected="at least one dam", remedy=remedy)
    for dam_id, dam in (draft.reservoirs or {}).items():
        path: KeyPath = ("reservoirs", dam_id)
        check_id(dam_id, path, complaints)
        check_time_zone(dam.time_zone, (*path, "time_zone"), complaints)
        _check_instructions(dam, path, ranks, complaints)
        _check_recipients(dam, path, recipients, complaints)
        _Dam(dam, path, ranks, complaints).check()


def check_id(name: str, path: KeyPath, complaints: Complaints) -> None:
    """Complain about an id that cannot serve as a file name on every system."""
    if not _ID.fullmatch(name):
        complaints.add(path, found=f"the id {shown(name)}", expected=_ID_RULE, remedy="rename it")


def check_time_zone(name: str | None, path: KeyPath, complaints: Complaints) -> None:
    """Complain about a time zone that this machine does not know."""
    if name is not None and not _is_time_zone(name):
        expected = "an IANA time zone as in America/Los_Angeles"
        known = sorted(zoneinfo.available_timezones())
        remedy = alternatives(name, known) if known else "install the package tzdata"
        complaints.add(path, found=shown(name), expected=expected, remedy=remedy)


def check_severity(name: str | None, path: KeyPath, ranks: Ranks | None, complaints: Complaints) -> None:
    """Complain about a severity that warning.toml does not list."""
    if name is not None and ranks is not None and name not in ranks:
        complaints.add(
            path,
            found=shown(name),
            expected=f"one of the severities {', '.join(ranks)}",
            remedy=alternatives(name, list(ranks)) + " Severities are listed in warning.toml.",
        )


@cache
def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _check_instructions(
    draft: DefaultsDraft | ReservoirDraft, path: KeyPath, ranks: Ranks | None, complaints: Complaints
) -> None:
    for severity in draft.instructions or {}:
        check_severity(severity, (*path, "instructions", severity), ranks, complaints)


def _check_recipients(
    dam: ReservoirDraft, path: KeyPath, known: Sequence[str] | None, complaints: Complaints
) -> None:
    for place, name in enumerate(dam.recipients or ()):
        if known is not None and name not in known:
            complaints.add(
                (*path, "recipients", place),
                found=f"{shown(name)}, whom nobody defined",
                expected="a recipient of recipients.toml",
                remedy=alternatives(name, known) + f" Otherwise add [recipients.{rendered_key(name)}] there.",
            )


class _Dam:
    """The rules about one dam's numbers."""

    def __init__(
        self, dam: ReservoirDraft, path: KeyPath, ranks: Ranks | None, complaints: Complaints
    ) -> None:
        self._dam = dam
        self._path = path
        self._ranks = ranks
        self._complaints = complaints
        self._unit = "m³" if dam.forecast_variable == "storage_m3" else "m"

    def check(self) -> None:
        self._check_presence()
        self._check_limits()
        for place, threshold in enumerate(self._dam.thresholds or ()):
            self._check_threshold(threshold, (*self._path, "thresholds", place))
        for place, rise in enumerate(self._dam.rise_thresholds or ()):
            self._check_rise(rise, (*self._path, "rise_thresholds", place))
        self._check_names()
        self._check_order()
        self._check_rise_order()

    def _check_presence(self) -> None:
        if not self._dam.thresholds and not self._unsound("thresholds"):
            self._complaints.add(
                (*self._path, "thresholds"),
                found="no threshold",
                expected="at least one threshold: a dam without can raise no warning",
                remedy=f"add a table [[reservoirs.{self._path[-1]}.thresholds]]",
            )
        if self._dam.forecast_variable == "level_m" and not self._dam.datum and not self._unsound("datum"):
            self._complaints.add(
                (*self._path, "datum"),
                found="nothing",
                expected="the name of the level's zero, which messages state beside every level",
                remedy='add for example: datum = "NGVD29"',
            )

    def _check_limits(self) -> None:
        variable = self._dam.forecast_variable
        if variable is None or self._unsound("limits") or self._unsound("limits", variable):
            return
        if self._limits() is None:
            self._complaints.add(
                (*self._path, "limits", variable),
                found="nothing",
                expected="the physical limits of the forecast variable: empty pool and top of the dam",
                remedy=f"add to [reservoirs.{self._path[-1]}.limits]: {variable} = [LOWEST, HIGHEST]",
            )

    def _check_threshold(self, threshold: ThresholdDraft, path: KeyPath) -> None:
        check_severity(threshold.severity, (*path, "severity"), self._ranks, self._complaints)
        self._check_inside(threshold.value, (*path, "value"))
        value, clear_value = threshold.value, threshold.clear_value
        if value is None or clear_value is None:
            return
        if not clear_value < value:
            self._complaints.add(
                (*path, "clear_value"),
                found=f"{shown(clear_value)} {self._unit}",
                expected=f"a number below the threshold's value {shown(value)}",
                remedy="lower it: the warning is called off once readings stay below it",
            )
        else:
            self._check_inside(clear_value, (*path, "clear_value"))

    def _check_rise(self, rise: RiseThresholdDraft, path: KeyPath) -> None:
        check_severity(rise.severity, (*path, "severity"), self._ranks, self._complaints)
        limits = self._limits()
        if rise.above is not None and limits is not None and not limits[0] <= rise.above < limits[1]:
            self._outside(rise.above, (*path, "above"), limits)
        if rise.rise_per_day is None or rise.clear_rise_per_day is None:
            return
        if not rise.clear_rise_per_day < rise.rise_per_day:
            self._complaints.add(
                (*path, "clear_rise_per_day"),
                found=f"{shown(rise.clear_rise_per_day)} {self._unit} per day",
                expected=f"a number below rise_per_day = {shown(rise.rise_per_day)}",
                remedy="lower it: the warning is called off once the rise stays below it",
            )

    def _check_names(self) -> None:
        thresholds = enumerate(self._dam.thresholds or ())
        rises = enumerate(self._dam.rise_thresholds or ())
        named = [(threshold.name, ("thresholds", place)) for place, threshold in thresholds]
        named += [(rise.name, ("rise_thresholds", place)) for place, rise in rises]
        seen: set[str] = set()
        for name, where in named:
            if name is not None and name.casefold() in seen:
                self._complaints.add(
                    (*self._path, *where, "name"),
                    found=f"{shown(name)} a second time",
                    expected="a name of its own for each threshold of a dam",
                    remedy="rename it: messages and the record tell thresholds apart by name",
                )
            seen.add((name or "").casefold())

    def _check_order(self) -> None:
        """Values must rise with severity; two thresholds of one severity need two values."""
        thresholds = self._dam.thresholds or ()
        for place, threshold in enumerate(thresholds):
            path: KeyPath = (*self._path, "thresholds", place, "value")
            if any(self._order_breaks(threshold, before, path) for before in reversed(thresholds[:place])):
                continue  # one word about a threshold is enough

    def _order_breaks(self, threshold: ThresholdDraft, before: ThresholdDraft, path: KeyPath) -> bool:
        if threshold.value is None or before.value is None:
            return False
        found = f"{shown(threshold.value)} {self._unit} for {_described(threshold)}"
        other = f"{shown(before.value)} {self._unit} of {_described(before)}"
        if threshold.value == before.value:
            expected, remedy = f"another value than the {other}", "change one of the values or remove one"
            self._complaints.add(path, found=found, expected=expected, remedy=remedy)
            return True
        rank, rank_before = self._rank(threshold.severity), self._rank(before.severity)
        if not rank or not rank_before or (rank - rank_before) * (threshold.value - before.value) >= 0:
            return False
        side = "above" if rank > rank_before else "below"
        expected = f"a value {side} the {other}: thresholds rise with severity"
        remedy = "exchange the two values or the two severities"
        self._complaints.add(path, found=found, expected=expected, remedy=remedy)
        return True

    def _check_rise_order(self) -> None:
        """The more severe of two rise thresholds must be the harder one to reach."""
        for (_, first), (place, second) in combinations(enumerate(self._dam.rise_thresholds or ()), 2):
            ranks = self._rank(first.severity), self._rank(second.severity)
            if None in (first.rise_per_day, first.above, second.rise_per_day, second.above) or None in ranks:
                continue
            low, high = (first, second) if (ranks[0] or 0) <= (ranks[1] or 0) else (second, first)
            faster = (high.rise_per_day or 0) > (low.rise_per_day or 0)
            higher = (high.above or 0) > (low.above or 0)
            if not (faster or higher):
                self._complaints.add(
                    (*self._path, "rise_thresholds", place, "rise_per_day"),
                    found=f"{shown(second.rise_per_day)} {self._unit} per day for {_described(second)}",
                    expected=f"{_described(high)} to need a faster rise, or a higher start, "
                    f"than {_described(low)}",
                    remedy="exchange the two severities, or make the more severe one harder to reach",
                )

    def _check_inside(self, value: float | None, path: KeyPath) -> None:
        limits = self._limits()
        if value is not None and limits is not None and not limits[0] < value < limits[1]:
            self._outside(value, path, limits)

    def _outside(self, value: float, path: KeyPath, limits: list[float]) -> None:
        self._complaints.add(
            path,
            found=f"{shown(value)} {self._unit}",
            expected=f"a value between the physical limits {shown(limits[0])} and {shown(limits[1])}",
            remedy=f"correct it, or limits.{self._dam.forecast_variable} (readings outside are doubted)",
        )

    def _limits(self) -> list[float] | None:
        if self._dam.limits is None or self._dam.forecast_variable is None:
            return None
        limits: list[float] | None = getattr(self._dam.limits, self._dam.forecast_variable)
        return limits

    def _rank(self, severity: str | None) -> int | None:
        return (self._ranks or {}).get(severity or "")

    def _unsound(self, *key: str) -> bool:
        return (*self._path, *key) in self._complaints.unsound


def _described(threshold: ThresholdDraft | RiseThresholdDraft) -> str:
    return f"{shown(threshold.name)} ({threshold.severity})"
