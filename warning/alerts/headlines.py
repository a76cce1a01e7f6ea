"""The first words of an alert, by what it tells: banner, subject, sentence, what to do, short facts.

A forecast is always called a forecast; only what a gauge reported is called observed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warning.alerts.case import WARNING_SCENES, Case, Scene
from warning.alerts.palette import CALM_COLOUR, UNWATCHED_COLOUR, severity_colour
from warning.alerts.wording import chance_text, day_text, days_text, margin_text, one_line, percent_text
from warning.domain.alert import AlertKind
from warning.domain.reservoir import LevelThreshold, RiseThreshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The part of a message that is read first.

    `title` (with `basis`) opens banner and subject, `gist` ends the subject. The SMS has `title`,
    `short_basis`, the facts of `short`, each kept whole or left out, and `short_action` or `action`.
    """

    title: str
    basis: str
    gist: str
    sentence: str
    action: str
    short: tuple[str, ...]
    colour: str
    short_basis: str = ""
    short_action: str = ""


def headline(case: Case) -> Headline:
    """Return the first words of `case`."""
    return _WRITERS[case.scene](case)


def why_now(case: Case) -> str:
    """What the alert's kind adds to a standing warning: "raised from WARNING", "reminder"…"""
    former = case.former_name
    if case.scene not in WARNING_SCENES or (case.scene is Scene.HELD and case.alert.kind is AlertKind.REMIND):
        return ""
    if case.alert.kind is AlertKind.ESCALATE:
        return f"raised from {former}" if former else "raised"
    if case.alert.kind is AlertKind.DOWNGRADE:
        return f"lowered from {former}" if former else "lowered"
    return {AlertKind.UPDATE: "update", AlertKind.REMIND: "reminder"}.get(case.alert.kind, "")


def instruction(case: Case) -> str:
    """What the dam's staff wrote for the standing severity, or plainly that they wrote nothing."""
    severity = case.severity
    written = one_line(case.reservoir.instructions.get(severity.name, "")) if severity is not None else ""
    if written:
        return written
    return f"No instruction is configured for {case.severity_name} here: follow the dam's emergency plan."


def _observed(case: Case) -> Headline:
    value, against = case.observed_value, case.against_threshold(case.observed_value)
    doubted = case.assessment is not None and case.assessment.unconfirmed
    day = case.day(case.observed_day)
    stands = ", ".join(part for part in (case.value_at_datum(value), against) if part)
    sentence = f"Observed: {case.dam} stands at {stands}, on {day}."
    if doubted:
        sentence += (
            " UNCONFIRMED: the automatic checks doubt this reading. "
            "Read the gauge at once; treat it as real until disproved."
        )
    return _warning(
        case,
        basis="observed, UNCONFIRMED" if doubted else "observed",
        gist=f"{case.value(value)} on {_short_day(case)} (>= {_limit(case)})",
        sentence=sentence + _peak_sentence(case),
        short=(_tight(case.value(value)), f">={_tight(_limit(case))}", _short_day(case)),
    )


def _rise(case: Case) -> Headline:
    rise = case.assessment.rise_per_day if case.assessment is not None else None
    threshold = case.threshold
    limit = f"{case.value(threshold.rise_per_day)} a day" if isinstance(threshold, RiseThreshold) else ""
    name = one_line(threshold.name) if threshold is not None else "rise"
    sentence = (
        f"Observed: the {case.variable.noun} at {case.dam} rises {case.value(rise)} a day ({name}: {limit}); "
        f"it stands at {case.value_at_datum(case.observed_value)} on {case.day(case.observed_day)}."
    )
    rising = f"+{case.value(rise)} a day"
    return _warning(
        case,
        basis="observed rise",
        gist=f"{rising} at {case.value(case.observed_value)} on {_short_day(case)} (>= {limit})",
        sentence=sentence + _peak_sentence(case),
        short=(
            f"+{_tight(case.value(rise))}/day",
            f">={_tight(limit.removesuffix(' a day'))}/day",
            f"at {_tight(case.value(case.observed_value))}",
            _short_day(case),
        ),
    )


def _forecast(case: Case) -> Headline:
    found, threshold, peak = case.assessment, case.threshold, case.peak_forecast
    first = found.first_day if found is not None else None
    probability = found.probability if found is not None else None
    chance, odds = percent_text(probability), chance_text(probability)
    first_short = day_text(first) if first is not None else "a day not known"
    reaches = isinstance(threshold, LevelThreshold) and peak is not None and peak[0] >= threshold.value
    name = one_line(threshold.name) if threshold is not None else "its threshold"
    sentence = (
        f"Forecast, not observed: {case.dam} {'is expected to' if reaches else 'may'} reach {name}, "
        f"{_limit(case)}{_datum(case)}, from {case.day(first)}; probability {odds}."
    )
    short: tuple[str, ...] = (f"may reach {_tight(_limit(case))} from {first_short}", _tight(chance))
    gist = f"may reach {_limit(case)} from {first_short} ({chance})"
    if reaches and peak is not None:
        since = "" if peak[1] == first else f" from {first_short}"
        gist = f"{case.value(peak[0])} on {day_text(peak[1])} (>= {_limit(case)}{since}, {chance})"
        high = f"{_tight(case.value(peak[0]))} {day_text(peak[1])}"
        short = (high, f">={_tight(_limit(case))}{since}", _tight(chance))
    return _warning(case, basis="forecast", gist=gist, sentence=sentence + _peak_sentence(case), short=short)


def _held(case: Case) -> Headline:
    threshold = case.threshold
    below = ""
    if isinstance(threshold, LevelThreshold):
        count = max(case.reservoir.policy.clear_after_days, 1)
        below = (
            f" It is called off when the {case.variable.noun} has been believed below "
            f"{case.value_at_datum(threshold.clear_value)} for {days_text(count)} and no forecast upholds it."
        )
    newest = _newest(case)
    return _warning(
        case,
        basis="still stands",
        gist=newest,
        sentence=f"{case.severity_name} still stands at {case.dam}: {case.observation()}.{below}",
        short=(_tight(newest),),
    )


def _warning(case: Case, *, basis: str, gist: str, sentence: str, short: tuple[str, ...]) -> Headline:
    """A standing warning: the kind's words are added, the instruction is the severity's own."""
    kind, added, former = case.alert.kind, why_now(case), case.former_name
    moved = kind in (AlertKind.ESCALATE, AlertKind.DOWNGRADE)
    if kind is AlertKind.DOWNGRADE and former is not None:
        sentence = f"Lowered from {former} to {case.severity_name}. {sentence}"
    if kind is AlertKind.ESCALATE and former is not None:
        sentence = f"Raised from {former} to {case.severity_name}. {sentence}"
    if kind is AlertKind.REMIND:
        still = "" if case.scene is Scene.HELD else f"{case.severity_name} still stands. "
        sentence = f"Reminder: {still}{sentence}"
    return Headline(
        title=case.severity_name,
        basis=f"{basis}, {added}" if added else basis,
        gist=gist,
        sentence=sentence,
        action=instruction(case),
        short_basis=basis if moved or not added else f"{basis}, {added}",
        short=(*short, f"was {former}") if moved and former is not None else short,
        colour=severity_colour(case.severity),
    )


def _clear(case: Case) -> Headline:
    over = case.former_name or "the warning"
    newest = _newest(case)
    return Headline(
        title="ALL CLEAR",
        basis="",
        gist=f"{newest}, {over} is over",
        sentence=f"{over} at {case.dam} is over. This rests on: {all_clear_basis(case)}.",
        action="No warning stands any more at this dam. Undo measures only as your own procedures say.",
        short=(f"{over} over", _tight(newest)),
        colour=CALM_COLOUR,
    )


def all_clear_basis(case: Case) -> str:
    """What the all-clear rests on: the observation against the lowest clear value, and the forecast."""
    parts = [case.observation()]
    thresholds = case.reservoir.level_thresholds
    if thresholds and case.observed_value is not None:
        lowest = min(thresholds, key=lambda t: t.clear_value)
        margin = margin_text(case.observed_value, lowest.clear_value, case.variable)
        parts[0] += (
            f", {margin} the lowest clear value {case.value(lowest.clear_value)} ({one_line(lowest.name)})"
        )
    parts.append(_forecast_clearance(case))
    return "; ".join(parts)


def _forecast_clearance(case: Case) -> str:
    outlooks = case.assessment.outlooks if case.assessment is not None else ()
    if case.forecast is None or not any(o.probabilities for o in outlooks):
        return "no forecast is at hand, so this rests on the observation alone"
    lowest = min((o for o in outlooks if o.probabilities), key=lambda o: o.threshold.value)
    chance = percent_text(max(lowest.probabilities))
    return (
        f"the highest forecast probability of any day to reach {one_line(lowest.threshold.name)} "
        f"({case.value(lowest.threshold.value)}), the lowest threshold, is {chance}"
    )


def _unwatched(case: Case) -> Headline:
    reason = unwatched_reason(case)
    last = _short_day(case) if case.observed_day is not None else None
    stands = f"{case.severity_name} still stands" if case.alert.severity is not None else ""
    action = "Read the gauge yourself now, and again until a message says that the dam is watched again."
    if stands:
        action += f" {case.severity_name} still stands: {instruction(case)}"
    sentence = f"Nobody is watching {case.dam} by machine: read the gauge yourself. Reason: {reason}"
    newest = f"last believed reading {last}" if last else "no believed reading"
    if stands:
        sentence += f" {stands} and cannot be checked by machine."
    return Headline(
        title="UNWATCHED",
        basis="",
        gist="- read the gauge yourself, " + newest + (f", {stands}" if stands else ""),
        sentence=sentence,
        action=action,
        short=tuple(f for f in ("read the gauge yourself", stands, newest) if f),
        short_action=reason,
        colour=UNWATCHED_COLOUR,
    )


def unwatched_reason(case: Case) -> str:
    """Why nobody watches, as one sentence."""
    found = case.assessment
    reason = (found.unwatched if found is not None else None) or next(iter(case.alert.reasons), "")
    reason = one_line(reason) or "not known"
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def _watched(case: Case) -> Headline:
    stands = f"{case.severity_name} still stands" if case.alert.severity is not None else "no warning stands"
    newest = _newest(case)
    action = instruction(case) if case.alert.severity is not None else "Nothing: the machine watches again."
    return Headline(
        title="WATCHED AGAIN",
        basis="",
        gist=f"{newest}, {stands}",
        sentence=f"{case.dam} is watched by machine again: {case.observation()}; {stands}.",
        action=action,
        short=(stands, _tight(newest)),
        colour=CALM_COLOUR if case.alert.severity is None else severity_colour(case.alert.severity),
    )


def _finding(case: Case) -> Headline:
    found = [one_line(f.message) for f in case.alert.findings] or [one_line(r) for r in case.alert.reasons]
    first = found[0] if found else "no details were recorded"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Headline(
        title="FINDING",
        basis="",
        gist=f"- {first}{more}",
        sentence=f"No flood warning by itself. At {case.dam} the watch found: {first}{more}",
        action="Check what is listed here; until it is settled, the watch over this dam is weaker.",
        short=(),
        short_action=first + more,
        colour=UNWATCHED_COLOUR,
    )


_WRITERS: dict[Scene, Callable[[Case], Headline]] = {
    Scene.OBSERVED: _observed,
    Scene.RISE: _rise,
    Scene.FORECAST: _forecast,
    Scene.HELD: _held,
    Scene.CLEAR: _clear,
    Scene.UNWATCHED: _unwatched,
    Scene.WATCHED: _watched,
    Scene.FINDING: _finding,
}


def _peak_sentence(case: Case) -> str:
    peak = case.peak_forecast
    if peak is None:
        return ""
    return f" Forecast peak (median): {case.value(peak[0])} on {case.day(peak[1])}."


def _limit(case: Case) -> str:
    threshold = case.threshold
    return case.value(threshold.value if isinstance(threshold, LevelThreshold) else None)


def _datum(case: Case) -> str:
    datum = one_line(case.reservoir.datum)
    return f" ({datum})" if datum else ""


def _newest(case: Case) -> str:
    if case.observed_value is None:
        return "no usable observation"
    return f"observed {case.value(case.observed_value)} on {_short_day(case)}"


def _short_day(case: Case) -> str:
    return day_text(case.observed_day) if case.observed_day is not None else "a day not known"


def _tight(text: str) -> str:
    """Save what a short message can do without: the space before a unit, and "on" before a day."""
    return text.replace(" m", "m").replace(" Mm³", "Mm3").replace(" %", "%").replace(" on ", " ")
