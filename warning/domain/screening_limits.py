"""Physical ranges and screening limits derived from a part of a record where nobody configured them.

Everything here is robust against what screening is there to find: sentinels, dead feeds and typos
in the very part that the limits are derived from. A configured value always wins over a derived one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace

import numpy as np

from warning.domain.readings import RawReadings
from warning.domain.reservoir import Bounds, Reservoir, ScreeningLimits
from warning.domain.variables import BoolArray, FloatArray, Variable

SENTINELS = (-999999.0, -99999.0, -9999.0, -999.0, -99.0, 999.0, 9999.0, 99999.0, 999999.0)
WETTEST_DAY_MM = 1825.0  # Foc-Foc, La Réunion, 7-8 January 1966: the most rain ever gauged in 24 hours
STOCKS = (Variable.LEVEL_M, Variable.STORAGE_M3)
FLOWS = (Variable.INFLOW_M3S, Variable.OUTFLOW_M3S)

_FEWEST_READINGS = 30
_FEWEST_VALUES = 5  # a gauge that never moved has shown no range
_NEGATIVE_SENTINELS = 5
_LONELY_FACTOR = 2.5
_LEAST_SHARE_A_DAY = 0.05  # of its range, so much a level or storage may always change
_DAYS_WITH_A_FLOOD = 730


def screening_basis(
    reservoir: Reservoir,
    raw: RawReadings,
    fitted: tuple[Mapping[Variable, Bounds], ScreeningLimits] | None,
) -> tuple[dict[Variable, Bounds], ScreeningLimits]:
    """Return what a dam is screened by: configured first, then as `fitted` with a model, then from `raw`."""
    if fitted is None:
        bounds = {**derive_bounds(raw), **reservoir.limits}
        return bounds, derive_limits(raw, bounds, reservoir.screening)
    return {**fitted[0], **reservoir.limits}, override_limits(fitted[1], reservoir.screening)


def derive_bounds(raw: RawReadings) -> dict[Variable, Bounds]:
    """Return a generous physical range for each variable that has readings enough in `raw`.

    A level may fall below the range it has shown by twice that range and rise by four times,
    storage reach ten times and a flow twenty times its highest: what is refused is impossible,
    not merely new.
    """
    bounds: dict[Variable, Bounds] = {}
    for variable in raw.values:
        if variable is Variable.RAIN_MM:
            bounds[variable] = Bounds(0.0, WETTEST_DAY_MM)
            continue
        values = _plausible_stock(raw, variable) if variable in STOCKS else _plausible_flow(raw, variable)
        if values.size >= _FEWEST_READINGS and np.unique(values).size >= _FEWEST_VALUES:
            bounds[variable] = _generous(variable, values)
    return bounds


def derive_limits(
    raw: RawReadings, bounds: Mapping[Variable, Bounds], configured: ScreeningLimits | None = None
) -> ScreeningLimits:
    """Return limits with every field filled: the configured ones, the rest derived from `raw`.

    A variable without readings enough in `raw` gets no limit of its own; its rules then rest.
    """
    columns = {variable: _daily(raw, variable, bounds.get(variable)) for variable in raw.values}
    rates, spikes = _change_limits(columns)
    derived = ScreeningLimits(
        rate_per_day=rates,
        spike=spikes,
        sentinels=_sentinels(bounds),
        flat_line_days=_flat_line_days(columns),
        zero_run_days=7,
        gap_days=2,
        level_storage_tolerance_m=_tolerance_m(spikes, columns),
        scale_step_factor=4.0,
    )
    return override_limits(derived, configured or ScreeningLimits())


def override_limits(derived: ScreeningLimits, configured: ScreeningLimits) -> ScreeningLimits:
    """Return `derived` with every field that is configured replaced, mappings variable by variable."""
    given = {f.name: getattr(configured, f.name) for f in fields(configured)}
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen["rate_per_day"] = {**derived.rate_per_day, **configured.rate_per_day}
    chosen["spike"] = {**derived.spike, **configured.spike}
    return replace(derived, **chosen)


def bounds_to_json(bounds: Mapping[Variable, Bounds]) -> dict[str, list[float]]:
    """Return `bounds` as plain JSON values, for the model manifest."""
    return {variable.value: [range_.lower, range_.upper] for variable, range_ in bounds.items()}


def bounds_from_json(text: Mapping[str, list[float]]) -> dict[Variable, Bounds]:
    """Read what `bounds_to_json` wrote; raises ValueError on an unknown variable or a bad range."""
    return {Variable(name): Bounds(float(lower), float(upper)) for name, (lower, upper) in text.items()}


def limits_to_json(limits: ScreeningLimits) -> dict[str, object]:
    """Return `limits` as plain JSON values, for the model manifest."""
    plain = asdict(limits)
    for name in ("rate_per_day", "spike"):
        plain[name] = {Variable(variable).value: value for variable, value in plain[name].items()}
    plain["sentinels"] = None if limits.sentinels is None else list(limits.sentinels)
    return plain


def limits_from_json(plain: Mapping[str, object]) -> ScreeningLimits:
    """Read what `limits_to_json` wrote; raises TypeError or ValueError on anything else."""
    fields = dict(plain)
    for name in ("rate_per_day", "spike"):
        given = fields.get(name, {})
        if not isinstance(given, Mapping):
            raise TypeError(f"{name} must be a table by variable, found {given!r}")
        fields[name] = {Variable(variable): float(value) for variable, value in given.items()}
    sentinels = fields.get("sentinels")
    if sentinels is not None:
        if not isinstance(sentinels, list | tuple):
            raise TypeError(f"sentinels must be a list of numbers, found {sentinels!r}")
        fields["sentinels"] = tuple(float(value) for value in sentinels)
    return ScreeningLimits(**fields)  # type: ignore[arg-type]


def _plausible_stock(raw: RawReadings, variable: Variable) -> FloatArray:
    """Keep the readings of a level or storage near their bulk that do not jump away and back."""
    values = _without_isolated_zeros(_daily(raw, variable, None)[1])
    values = values[~np.isin(values, SENTINELS)]
    if values.size < _FEWEST_READINGS:
        return values
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    width = max(high - low, 0.02 * abs(middle), 1e-9)
    values = values[(values >= low - 4 * width) & (values <= high + 4 * width)]
    kept: FloatArray = values[~_spikes_to_ignore(values)]
    return kept


def _plausible_flow(raw: RawReadings, variable: Variable) -> FloatArray:
    """Keep the readings of a flow that are not far above its highest thousandth."""
    values = _daily(raw, variable, None)[1]
    values = values[~np.isin(values, SENTINELS[:_NEGATIVE_SENTINELS])]
    if values.size < _FEWEST_READINGS:
        return values
    kept: FloatArray = values[np.abs(values) <= 10.0 * max(float(np.quantile(np.abs(values), 0.998)), 1.0)]
    return kept


def _without_isolated_zeros(values: FloatArray) -> FloatArray:
    """Drop exact zeros unless the other values reach down to them, as in a tank that runs dry."""
    others = values[values > 0]
    if not others.size or others.min() > 0.1 * np.median(others):
        nonzero: FloatArray = values[values != 0]
        return nonzero
    return values


def _generous(variable: Variable, values: FloatArray) -> Bounds:
    lowest, highest = float(values.min()), float(values.max())
    if variable is Variable.LEVEL_M:
        width = max(highest - lowest, 5.0)
        return Bounds(lowest - 2.0 * width, highest + 4.0 * width)
    if variable is Variable.STORAGE_M3:
        return Bounds(0.0, max(10.0 * highest, 1.0))
    top = max(20.0 * highest, 1.0)
    return Bounds(min(0.0, 3.0 * lowest) - 0.01 * top, top)


def _sentinels(bounds: Mapping[Variable, Bounds]) -> tuple[float, ...]:
    """Keep those of the usual sentinels that no variable can take."""
    return tuple(value for value in SENTINELS if not any(value in range_ for range_ in bounds.values()))


def _daily(raw: RawReadings, variable: Variable, bounds: Bounds | None) -> tuple[FloatArray, FloatArray]:
    """Return (day numbers, values) of the usable readings of a variable, one a day, ascending."""
    order = np.argsort(raw.days, kind="stable")
    days = raw.days[order].astype("datetime64[D]").astype(np.float64)
    values = raw.values[variable][order]
    usable = np.isfinite(values)
    if bounds is not None:
        usable &= (values >= bounds.lower) & (values <= bounds.upper)
    days, values = days[usable], values[usable]
    first = np.concatenate(([True], np.diff(days) > 0))[: days.size]
    return days[first], values[first]


def _change_limits(
    columns: Mapping[Variable, tuple[FloatArray, FloatArray]],
) -> tuple[dict[Variable, float], dict[Variable, float]]:
    """Return the limits of a change per day and of a peak above both neighbours."""
    rates: dict[Variable, float] = {}
    spikes: dict[Variable, float] = {}
    for variable, (days, values) in columns.items():
        if variable is Variable.RAIN_MM:
            continue
        if variable in STOCKS:
            days, values = days[values != 0], values[values != 0]
        if values.size < _FEWEST_READINGS:
            continue
        kept = ~_spikes_to_ignore(values)
        gaps, changes = np.diff(days[kept]), np.abs(np.diff(values[kept]))
        daily = changes[gaps == 1]
        if daily.size < _FEWEST_READINGS or not daily.max() > 0:
            continue
        rate = max(1.5 * _largest_of_many(daily), 3.0 * float(np.quantile(daily, 0.995)))
        if variable in STOCKS:
            rate = max(rate, _LEAST_SHARE_A_DAY * float(np.ptp(values[kept])))
        # a short record has hardly seen a flood
        rates[variable] = rate if daily.size >= _DAYS_WITH_A_FLOOD else 2.0 * rate
        spikes[variable] = min(_usual_peak(values, daily), rates[variable])
    return rates, spikes


def _usual_peak(values: FloatArray, daily: FloatArray) -> float:
    """Return by how much a reading may stand out from both neighbours at this dam."""
    there, back = np.diff(values)[:-1], np.diff(values)[1:]
    peaks = np.minimum(np.abs(there), np.abs(back))[there * back < 0]
    usual = float(np.quantile(peaks, 0.95)) if peaks.size >= _FEWEST_READINGS else 0.0
    return max(4.0 * usual, float(np.quantile(daily, 0.99)))


def _largest_of_many(changes: FloatArray) -> float:
    """Return the largest change that others lead up to: steps of another kind stand alone above them."""
    highest = np.sort(changes[changes >= np.quantile(changes, 0.99)])
    alone = np.flatnonzero(highest[1:] > _LONELY_FACTOR * highest[:-1])
    return float(highest[alone[0]] if alone.size else highest[-1])


def _spikes_to_ignore(values: FloatArray) -> BoolArray:
    """Mark readings that jump away and back by far more than the series ever moves otherwise."""
    steps = np.diff(values)
    away = np.zeros(values.size, dtype=np.bool_)
    there, back = steps[:-1], steps[1:]
    least = np.minimum(np.abs(there), np.abs(back))
    returns = (there * back < 0) & (np.abs(there + back) < 0.3 * least)
    away[1:-1] = returns & (least > 3.0 * np.quantile(np.abs(steps), 0.99))
    return away


def _flat_line_days(columns: Mapping[Variable, tuple[FloatArray, FloatArray]]) -> int:
    """Return how many equal days are too many: more than the stocks themselves show but rarely."""
    longest = 0.0
    for variable in STOCKS:
        if variable in columns and columns[variable][1].size >= _FEWEST_READINGS:
            values = columns[variable][1]
            ends = np.flatnonzero(np.concatenate((np.diff(values) != 0, [True])))
            lengths = np.diff(np.concatenate(([-1], ends)))
            longest = max(longest, float(np.quantile(lengths, 0.99)))
    return int(min(max(14.0, 4.0 * longest), 60.0))


def _tolerance_m(
    spikes: Mapping[Variable, float], columns: Mapping[Variable, tuple[FloatArray, FloatArray]]
) -> float:
    """Return by how much level and storage may disagree about a change: a small part of the level's range."""
    if Variable.LEVEL_M not in spikes:
        return 1.0
    values = columns[Variable.LEVEL_M][1]
    return float(max(spikes[Variable.LEVEL_M], 0.01 * (values.max() - values.min())))
