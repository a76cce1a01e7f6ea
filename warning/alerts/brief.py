"""Everything a message says, in order, before it takes the form of HTML, text or SMS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from warning.alerts.case import WARNING_SCENES, Case, Scene
from warning.alerts.headlines import (
    Headline,
    all_clear_basis,
    headline,
    unwatched_reason,
    why_now,
)
from warning.alerts.palette import rank_colour
from warning.alerts.plot_data import quantile_at
from warning.alerts.wording import (
    chance_text,
    day_text,
    display_unit,
    local_time_text,
    names_text,
    number_text,
    one_line,
    percent_text,
    skill_text,
)
from warning.domain.ahead import labelled
from warning.domain.assessment import Evidence
from warning.domain.forecast import HORIZON_DAYS
from warning.domain.reservoir import LevelThreshold, Reservoir

_MOST_SUBJECT_CHARACTERS = 180
_OLD_READING_DAYS = 2


@dataclass(frozen=True, slots=True)
class OutlookColumn:
    """A threshold as the head of a column of probabilities."""

    severity: str
    value: str
    colour: str


@dataclass(frozen=True, slots=True)
class OutlookRow:
    """One lead day: median, 90 % band, and the probability of reaching each threshold."""

    day: str
    median: str
    low: str
    high: str
    probabilities: tuple[str, ...]
    marked: bool  # the first crossing


@dataclass(frozen=True, slots=True)
class OutlookTable:
    """The seven days ahead; values in `unit`."""

    unit: str
    columns: tuple[OutlookColumn, ...]
    rows: tuple[OutlookRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What one message says. All strings are on one line, unescaped, free of NaN."""

    subject: str
    banner: str
    colour: str
    dam: str
    headline: Headline
    facts: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]
    cautions: tuple[str, ...]
    table: OutlookTable | None
    number: str
    issued: str


def make_brief(case: Case) -> Brief:
    """Put `case` into words."""
    head = headline(case)
    return Brief(
        subject=_subject(case, head),
        banner=" · ".join(part.upper() for part in (head.title, head.basis) if part),
        colour=head.colour,
        dam=case.dam,
        headline=head,
        facts=_facts(case),
        changes=_changes(case),
        cautions=_cautions(case),
        table=_table(case),
        number=f"Alert {_number(case)}",
        issued=local_time_text(case.now, case.reservoir.time_zone),
    )


def _subject(case: Case, head: Headline) -> str:
    """Most important first; cut before the alert's number, which is always kept."""
    opening = f"{head.title} {head.basis}".strip()
    tag = f" [#{case.alert.number}]" if case.alert.number is not None else ""
    text = one_line(f"{opening}: {case.dam} {head.gist}")
    most = _MOST_SUBJECT_CHARACTERS - len(tag)
    return (text if len(text) <= most else text[: most - 2].rstrip() + "..") + tag


def _changes(case: Case) -> tuple[str, ...]:
    """The alert's reasons, where the message does not give them in another place already."""
    if case.scene in (Scene.UNWATCHED, Scene.FINDING):
        return ()
    return tuple(text for text in map(one_line, case.alert.reasons) if text)


def _number(case: Case) -> str:
    number = f"#{case.alert.number}" if case.alert.number is not None else "not yet numbered"
    if case.alert.follows is not None:
        number += f", follows #{case.alert.follows}"
    return number


def _facts(case: Case) -> tuple[tuple[str, str], ...]:
    """The questions of 03:00, answered: how high, when, how sure, who else knows; then the particulars."""
    facts = _FACTS.get(case.scene, _warning_facts)(case)
    return (
        *facts,
        ("Who else knows", names_text(case.told)),
        ("Severity", _severity_fact(case)),
        ("Dam", f"{case.dam} ({one_line(case.reservoir.id)})"),
        ("Alert", _number(case)),
        ("Local time", local_time_text(case.now, case.reservoir.time_zone)),
    )


def _warning_facts(case: Case) -> list[tuple[str, str]]:
    return [
        ("How high", _height_fact(case)),
        ("When", _time_fact(case)),
        ("How sure", _certainty_fact(case)),
    ]


def _severity_fact(case: Case) -> str:
    if case.scene not in WARNING_SCENES:
        return _severity_without_warning(case)
    ground = {
        Scene.OBSERVED: "on an observation",
        Scene.RISE: "on an observed rise",
        Scene.FORECAST: "on a forecast, not on an observation",
        Scene.HELD: "held from before",
    }[case.scene]
    before = f"; before: {case.former_name}" if case.former_name is not None else "; no warning stood before"
    added = why_now(case)
    return f"{case.severity_name}, {ground}{f' ({added})' if added else ''}{before}"


def _severity_without_warning(case: Case) -> str:
    if case.scene is Scene.FINDING:
        return "none: this is about the watch itself"
    if case.scene is Scene.CLEAR:
        return f"none; before: {case.former_name or 'not recorded'}"
    if case.alert.severity is None:
        return "no warning stands"
    return f"{case.severity_name} still stands from before"


def _height_fact(case: Case) -> str:
    text = case.observation()
    against = case.against_threshold(case.observed_value)
    if against and case.observed_value is not None:
        text += f": {against}"
    peak = case.peak_forecast
    if peak is None:
        return _sentence(text)
    against = case.against_threshold(peak[0])
    return (
        f"{_sentence(text)} Forecast peak {case.value_at_datum(peak[0])}{f': {against}' if against else ''}."
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _time_fact(case: Case) -> str:
    found, peak = case.assessment, case.peak_forecast
    first = found.first_day if found is not None else None
    parts = []
    if case.scene is Scene.FORECAST:
        parts.append(f"first crossing forecast for {case.day(first)}")
    elif case.observed_day is not None:
        parts.append(f"observed on {case.day(case.observed_day)}")
    if peak is not None:
        parts.append(f"forecast peak on {case.day(peak[1])}")
    elif case.recedes:
        parts.append("nothing higher than the observation is forecast")
    return _sentence("; ".join(parts) or "not known")


def _certainty_fact(case: Case) -> str:
    """Probability and skill for a forecast; the checks' verdict for an observation."""
    found = case.assessment
    parts = []
    if case.scene is Scene.FORECAST:
        odds = chance_text(found.probability if found is not None else None)
        parts.append(f"Probability {odds} that the {case.variable.noun} gets there.")
    elif found is not None and found.unconfirmed:
        parts.append("UNCONFIRMED reading: the automatic checks doubt it.")
    elif case.scene in (Scene.OBSERVED, Scene.RISE):
        parts.append("A reading that passed the automatic checks.")
    return " ".join([*parts, _skill_sentence(case)])


def _skill_sentence(case: Case) -> str:
    if case.forecast is None and case.skill is None:
        return "No forecast is at hand: this rests on observation alone."
    return skill_text(case.skill, case.lead_days)


def _clear_facts(case: Case) -> list[tuple[str, str]]:
    return [
        ("Rests on", _sentence(all_clear_basis(case))),
        ("How sure", _skill_sentence(case)),
    ]


def _unwatched_facts(case: Case) -> list[tuple[str, str]]:
    noticed = local_time_text(case.alert.created_at, case.reservoir.time_zone)
    newest = case.observation() if case.observed_value is not None else "none is known"
    return [
        ("Reason", unwatched_reason(case)),
        ("Since when", f"Last believed reading: {newest}; told on {noticed}."),
    ]


def _watched_facts(case: Case) -> list[tuple[str, str]]:
    return [("How high", _sentence(case.observation()))]


def _finding_facts(case: Case) -> list[tuple[str, str]]:
    found = [finding.message for finding in case.alert.findings] or list(case.alert.reasons)
    return [("Found", one_line(text)) for text in found]


_FACTS = {
    Scene.CLEAR: _clear_facts,
    Scene.UNWATCHED: _unwatched_facts,
    Scene.WATCHED: _watched_facts,
    Scene.FINDING: _finding_facts,
}


def _cautions(case: Case) -> tuple[str, ...]:
    """What is degraded or doubted, each once."""
    found, forecast = case.assessment, case.forecast
    texts: list[str] = []
    if found is not None:
        if found.unconfirmed:
            texts.append("The reading above the threshold is unconfirmed: the automatic checks doubt it.")
        age = (case.today - found.observed_day).days if found.observed_day is not None else None
        if age is not None and age >= _OLD_READING_DAYS:
            texts.append(f"The newest usable reading is {age} days old.")
        if found.unwatched is not None and case.scene is not Scene.UNWATCHED:
            texts.append(f"This dam is unwatched as well: {found.unwatched}")
        texts += map(_remark, found.degraded)
    if forecast is not None:
        texts += map(_remark, forecast.degraded)
        if forecast.out_of_range and not (found and any("outside" in text for text in found.degraded)):
            texts.append("The readings lie outside what the model was trained on; the bands are widened.")
    elif case.scene in (*WARNING_SCENES, Scene.CLEAR) and not any("no forecast" in text for text in texts):
        texts.append("There is no forecast.")
    if case.scene is not Scene.FINDING:
        texts += [f"Finding: {finding.message}" for finding in case.alert.findings]
    return tuple(dict.fromkeys(text for text in map(one_line, texts) if text))


def _remark(text: str) -> str:
    heading, remark = labelled(text)
    return f"{heading.capitalize()}: {remark}"


def _table(case: Case) -> OutlookTable | None:
    """The seven lead days; None without a forecast."""
    forecast, variable = case.forecast, case.variable
    if forecast is None:
        return None
    thresholds = sorted(case.reservoir.level_thresholds, key=lambda t: -t.value)  # a phone may cut the last
    chances = [forecast.exceedance_probabilities(t.value) for t in thresholds]
    low, median, high = (quantile_at(forecast, level) for level in (0.05, 0.5, 0.95))
    rows = []
    for i in range(HORIZON_DAYS):
        day = forecast.valid_day(i + 1)
        rows.append(
            OutlookRow(
                day=day_text(day) + (" (past)" if day < case.today else ""),
                median=number_text(float(median[i]), variable),
                low=number_text(float(low[i]), variable),
                high=number_text(float(high[i]), variable),
                probabilities=tuple(percent_text(float(column[i])) for column in chances),
                marked=_first_forecast_crossing(case) == day,
            )
        )
    columns = tuple(_column(t, case.reservoir) for t in thresholds)
    return OutlookTable(display_unit(variable), columns, tuple(rows))


def _column(threshold: LevelThreshold, reservoir: Reservoir) -> OutlookColumn:
    return OutlookColumn(
        severity=one_line(threshold.severity.name),
        value=number_text(threshold.value, reservoir.forecast_variable),
        colour=rank_colour(threshold.severity.rank),
    )


def _first_forecast_crossing(case: Case) -> date | None:
    found = case.assessment
    return found.first_day if found is not None and found.evidence is Evidence.FORECAST else None
