"""The daily forecast from where the past left off: a standing and the readings since, many dams at once.

The result is that of `pool.operational` on the whole record. Arrays have the axes (dam, day, lead,
expert); day 0 is each dam's standing's own, and the last seven days before it come first where a forecast
issued there is still awaited. What the days since came to is handed back, so that tomorrow's forecast
need not live through them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS, PERSISTENCE
from warning.domain.reservoir import Bounds
from warning.domain.variables import BoolArray, FloatArray, IndexArray
from warning.forecasting.bands import Issued, bands, end_to_end
from warning.forecasting.calibration import ScoreTable, flood_share, flood_values_of, kinds_of
from warning.forecasting.model import SiteScale
from warning.forecasting.pool import (
    RESTLESSNESS_HALF_LIFE,
    UNSEEN_DAYS,
    WILDEST_CHANGE,
    PoolResult,
    inside,
    newness_of,
    priors_of,
    spread_of,
    widened,
)
from warning.forecasting.scaling import lead_scale
from warning.forecasting.skill import SKILL_WEEKS, ratio, week_of
from warning.forecasting.standing import Standing
from warning.forecasting.weights import PUBLISHED, WeightRule, WeightState, combine, continued_weights

_BANDS_AT_ONCE: Final = 16
_UNSETTLED_DAYS: Final = 4
"""The last days, which tomorrow lives through again: most late and corrected readings are of them."""
_FEW_DAYS: Final = 10
_LEADS: Final = np.arange(1, HORIZON_DAYS + 1)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a dam's past has been lived through, and what it had come to: up to `day`, without it.

    `pool` and `published` are where the two weight rules stood, `pending` (7, 7, experts) the forecasts
    issued on the seven days before. `pooled` and `spread` (7 + day, 7) are those of all days from seven
    before the standing on.
    """

    day: int
    pool: WeightState
    published: WeightState
    pending: FloatArray
    pooled: FloatArray
    spread: FloatArray

    @classmethod
    def by(cls, standing: Standing) -> Reached:
        """Return where the standing itself is."""
        pooled, spread = standing.pooled, standing.spread
        return cls(0, standing.pool, standing.published, standing.pending, pooled, spread)


@dataclass(frozen=True, slots=True)
class Resumption:
    """One dam to go on with: what came of each day since the standing's, which is day 0.

    `z` (days, 7, experts) are the answers from the day `reached` on, on the days that a forecast is issued
    on, of which `last` is the newest. `base` and `truth` (days,) are the values as known on the day itself,
    `unseen` (days,) says whether the inputs lay beyond what was seen before, all from day 0 on. NaN is none.
    """

    scale: SiteScale
    bounds: Bounds | None
    standing: Standing
    reached: Reached
    last: int
    z: FloatArray
    base: FloatArray
    truth: FloatArray
    unseen: BoolArray


def resumed(dams: Sequence[Resumption], rule: WeightRule) -> list[tuple[PoolResult, Reached]]:
    """Return the forecast of each dam's newest issue day, as `operational` with `last_only` makes it.

    Beside it stands what to go on from tomorrow. All dams have the same experts.
    """
    found: dict[int, tuple[PoolResult, Reached]] = {}
    near = [i for i, dam in enumerate(dams) if len(dam.z) <= _FEW_DAYS]
    far = [i for i, dam in enumerate(dams) if len(dam.z) > _FEW_DAYS]
    for chosen in filter(None, (near, far)):  # apart, or one that is far behind would cost as much for all
        found |= zip(chosen, _resumed_together([dams[i] for i in chosen], rule), strict=True)
    return [found[i] for i in range(len(dams))]


def _resumed_together(dams: Sequence[Resumption], rule: WeightRule) -> list[tuple[PoolResult, Reached]]:
    days = _Days.of(dams)
    weights, pool = _weights(days, [dam.reached.pool for dam in dams], days.experts, rule)
    pooled, used = combine(days.experts[:, HORIZON_DAYS:], priors_of(days.names) * weights)
    spread = _spread(days, dams, pooled)
    newest = (np.arange(len(dams)), days.last - days.first)
    members = days.experts[..., : dams[0].standing.members]
    ensemble = np.full((len(dams), HORIZON_DAYS), np.nan)
    published = WeightState(pool.weight[..., :0], pool.losses[..., :0])
    if members.shape[3]:
        states = [dam.reached.published for dam in dams]
        shares, published = _weights(days, states, members, PUBLISHED)
        ensemble = combine(members[:, HORIZON_DAYS:][newest], shares[newest])[0]
    pooled = _gone_on([dam.reached.pooled for dam in dams], days, pooled)
    spread = _gone_on([dam.reached.spread for dam in dams], days, spread)
    results = _results(dams, days, pooled, spread, used[newest], ensemble)
    return list(zip(results, _reached(days, pool, published, pooled, spread), strict=True))


def _gone_on(before: Sequence[FloatArray], days: _Days, since: FloatArray) -> FloatArray:
    """What was reached and what came since (dam, day, 7), from seven days before the standings on."""
    every = np.full((len(before), HORIZON_DAYS + days.base.shape[1], HORIZON_DAYS), np.nan)
    for whole, past, own in zip(every, before, since, strict=True):
        whole[: len(past)] = past
        new = whole[len(past) : len(past) + len(own)]
        new[:] = own[: len(new)]
    return every


def _reached(
    days: _Days, pool: WeightState, published: WeightState, pooled: FloatArray, spread: FloatArray
) -> list[Reached]:
    return [
        Reached(
            int(first + stop),
            WeightState(pool.weight[i], pool.losses[:, i]),
            WeightState(published.weight[i], published.losses[:, i]),
            days.experts[i, stop : stop + HORIZON_DAYS],
            pooled[i, : HORIZON_DAYS + first + stop],
            spread[i, : HORIZON_DAYS + first + stop],
        )
        for i, (first, stop) in enumerate(zip(days.first.tolist(), days.stops.tolist(), strict=True))
    ]


def _results(
    dams: Sequence[Resumption],
    days: _Days,
    pooled: FloatArray,
    spread: FloatArray,
    used: FloatArray,
    ensemble: FloatArray,
) -> list[PoolResult]:
    every = np.arange(len(dams))
    unseen, before = _unseen(dams)
    quantiles = widened(_quantiles(days, dams, pooled, spread), newness_of(unseen, before))
    base, skill = days.base[every, days.last], _skill(days, [dam.standing for dam in dams], pooled)
    issued = days.experts[every, HORIZON_DAYS + days.last - days.first]
    pooled = pooled[every, HORIZON_DAYS + days.last]
    results = []
    for i, dam in enumerate(dams):
        own = slice(i, i + 1)
        kept = inside(quantiles[own], base[own], dam.bounds)
        results.append(
            PoolResult(
                first_day=dam.standing.day,
                rows=days.last[own],
                base=base[own],
                experts={name: issued[own, :, e] for e, name in enumerate(days.names)},
                ensemble=ensemble[own],
                weights=used[own],
                pooled=pooled[own],
                mean=kept[:, :, kept.shape[2] // 2],
                quantiles=kept,
                skill=skill[own],
                out_of_range=unseen[own],
            )
        )
    return results


def _unseen(dams: Sequence[Resumption]) -> tuple[BoolArray, IndexArray]:
    """Whether each dam's newest inputs lie beyond what was seen, and on how many days they did before."""
    before = [dam.standing.unseen + int(dam.unseen[: dam.last].sum()) for dam in dams]
    return np.array([dam.unseen[dam.last] for dam in dams]), np.minimum(before, UNSEEN_DAYS)


@dataclass(frozen=True, slots=True)
class _Days:
    """What is seen since the standings: `base` and `truth` (dam, day) from the standings' day on.

    `experts` begin seven days before the day that each dam has reached, `first`; `last` is its newest issue
    day, and `stops` says how many days on from `first` tomorrow's forecast goes on.
    """

    names: tuple[str, ...]
    experts: FloatArray
    base: FloatArray
    truth: FloatArray
    first: IndexArray
    last: IndexArray
    stops: IndexArray

    @classmethod
    def of(cls, dams: Sequence[Resumption]) -> _Days:
        names = dams[0].standing.experts
        ahead, length = max(len(dam.z) for dam in dams), max(len(dam.base) for dam in dams)
        experts = np.full((len(dams), HORIZON_DAYS + ahead, HORIZON_DAYS, len(names)), np.nan)
        base, truth = np.full((2, len(dams), length), np.nan)
        for i, dam in enumerate(dams):
            days, first = len(dam.base), dam.reached.day
            base[i, :days], truth[i, :days] = dam.base, dam.truth
            experts[i, :HORIZON_DAYS] = dam.reached.pending
            experts[i, HORIZON_DAYS:][: len(dam.z)] = in_its_unit(dam.scale, dam.base[first:], dam.z)
        first, last = np.array([(dam.reached.day, dam.last) for dam in dams]).T
        return cls(
            names, experts, base, truth, first, last, np.maximum(last + 1 - _UNSETTLED_DAYS - first, 0)
        )

    def since(self, values: FloatArray) -> FloatArray:
        """Return the values (dam, day) from the days that are reached on; NaN beyond."""
        days = self.first[:, None] + np.arange(self.experts.shape[1] - HORIZON_DAYS)
        within = days < values.shape[1]
        found = np.take_along_axis(values, np.where(within, days, 0), axis=1)
        return np.where(within, found, np.nan)


def in_its_unit(scale: SiteScale, base: FloatArray, z: FloatArray) -> FloatArray:
    """Return answers (days, 7, experts) as values of the dam's variable."""
    values: FloatArray = base[:, None, None] + z * lead_scale(scale)[:, None]
    return values


def _weights(
    days: _Days, states: Sequence[WeightState], experts: FloatArray, rule: WeightRule
) -> tuple[FloatArray, WeightState]:
    """The weights (dam, day, lead, expert) once the errors of each day are known; where the rule stops."""
    errors = _known_errors(experts, days.since(days.truth))
    state = WeightState(
        np.stack([state.weight for state in states]), np.stack([state.losses for state in states], axis=1)
    )
    weights, stopped = continued_weights(state, errors.swapaxes(0, 1), rule, days.stops)
    return weights.swapaxes(0, 1), stopped


def _known_errors(forecasts: FloatArray, truth: FloatArray) -> FloatArray:
    """Errors (dam, day, lead, …) by the day that made them known, of forecasts from seven days before on."""
    length = truth.shape[1]
    errors = np.empty((len(truth), length, *forecasts.shape[2:]))
    for lead in range(1, HORIZON_DAYS + 1):
        issued = forecasts[:, HORIZON_DAYS - lead :][:, :length, lead - 1]
        errors[:, :, lead - 1] = truth.reshape(*truth.shape, *[1] * (issued.ndim - 2)) - issued
    return errors


def _spread(days: _Days, dams: Sequence[Resumption], pooled: FloatArray) -> FloatArray:
    """The spread (dam, day, lead) from the days that are reached on."""
    change = np.array([dam.scale.daily_change for dam in dams])
    restless = _restlessness(days.base, np.stack([dam.standing.restless for dam in dams]), change)
    cheap = days.experts[:, HORIZON_DAYS:, :, days.names.index(PERSISTENCE) :]
    return spread_of(cheap, pooled, days.since(restless), change[:, None])


def _restlessness(base: FloatArray, state: FloatArray, change: FloatArray) -> FloatArray:
    """`pool.restlessness` of many dams, from where each stood."""
    keep = 0.5 ** (1 / RESTLESSNESS_HALF_LIFE)
    mean, value, age = state.T.copy()
    result = np.full(base.shape, np.nan)
    for day, newest in enumerate(base.T):
        known, moved = np.isfinite(newest), np.isfinite(newest) & np.isfinite(value)
        step = np.minimum(np.abs(newest - value) / np.maximum(day + age, 1) ** 0.5, WILDEST_CHANGE * change)
        mean = np.where(moved, keep * mean + (1 - keep) * step, mean)
        value, age = np.where(known, newest, value), np.where(known, -day, age)
        result[:, day] = np.where(known, mean, np.nan)
    return result


def _quantiles(days: _Days, dams: Sequence[Resumption], pooled: FloatArray, spread: FloatArray) -> FloatArray:
    """Calibrated quantiles (dam, 7, levels) of the newest issue days; a few dams at a time fit the cache."""
    base = np.concatenate([np.stack([dam.standing.base for dam in dams]), days.base], axis=1)
    return np.concatenate(
        [
            _bands(dams[part], days.last[part], pooled[part], spread[part], base[part], days.truth[part])
            for part in (slice(i, i + _BANDS_AT_ONCE) for i in range(0, len(dams), _BANDS_AT_ONCE))
        ]
    )


def _bands(
    dams: Sequence[Resumption],
    last: IndexArray,
    pooled: FloatArray,
    spread: FloatArray,
    base: FloatArray,
    truth: FloatArray,
) -> FloatArray:
    standings = [dam.standing for dam in dams]
    truth = np.concatenate([np.full((len(dams), HORIZON_DAYS), np.nan), truth], axis=1)
    ranks = np.stack(
        [_ranks(one.reference, np.stack(own)) for one, *own in zip(standings, base, truth, strict=True)],
        axis=1,
    )
    rows = np.array([standing.row for standing in standings])
    visible = np.isfinite(base)[:, :, None] & np.isfinite(spread) & (spread > 0)
    positions, spreads = kinds_of(
        np.where(visible, ranks[0][:, :, None], 0.0), np.where(visible, spread, 1.0)
    )
    every, newest = np.arange(len(dams)), HORIZON_DAYS + last
    issued = Issued(
        leads=np.tile(_LEADS, len(dams)),
        rows=np.repeat(rows + last, HORIZON_DAYS),
        means=pooled[every, newest].ravel(),
        spread=spread[every, newest].ravel(),
        positions=positions[every, newest].ravel(),
        spreads=spreads[every, newest].ravel(),
        flood_values=np.repeat([flood_values_of(one.reference) for one in standings], HORIZON_DAYS, axis=0),
    )
    newer = _scores_since(truth, pooled, np.where(visible, spread, np.nan))
    sizes = np.isfinite(newer).sum(axis=2)
    order = np.argsort(newer, axis=2, kind="stable")
    chosen = np.arange(newer.shape[2]) < sizes[:, :, None]
    dam, lead, _ = np.nonzero(chosen)
    day = order[chosen]
    table = ScoreTable(
        scores=newer[dam, lead, day],
        issued=rows[dam] - HORIZON_DAYS + day,
        positions=positions[dam, day, lead],
        spreads=spreads[dam, day, lead],
        flood_share=flood_share(ranks[1][dam, day + lead + 1]),
    )
    older = end_to_end([own for standing in standings for own in standing.tables])
    return bands(issued, older, (table, sizes.ravel())).reshape(len(dams), HORIZON_DAYS, -1)


def _ranks(reference: FloatArray, values: FloatArray) -> FloatArray:
    """The share of the reference at or below each value, meaningless for NaN."""
    ranks: FloatArray = reference.searchsorted(values, side="right") / max(reference.size, 1)
    return ranks


def _scores_since(truth: FloatArray, pooled: FloatArray, spread: FloatArray) -> NDArray[np.float32]:
    """The scores (dam, lead, issue day) of forecasts from seven days before on, NaN where unknown."""
    scores = np.full((len(truth), HORIZON_DAYS, truth.shape[1]), np.nan, np.float32)
    for lead in _LEADS:
        errors = truth[:, lead:] - pooled[:, :-lead, lead - 1]
        scores[:, lead - 1, :-lead] = errors / spread[:, :-lead, lead - 1]
    return scores


def _skill(days: _Days, standings: Sequence[Standing], pooled: FloatArray) -> FloatArray:
    """MAE / MAE(persistence) per lead (dam, 7) as known on the newest issue days."""
    base = np.concatenate([np.stack([standing.base for standing in standings]), days.base], axis=1)
    persistence = np.broadcast_to(base[:, :, None], pooled.shape)
    errors = np.abs(_known_errors(np.stack([pooled, persistence], axis=3), days.truth))
    losses = np.where(np.isfinite(errors).all(axis=3, keepdims=True), errors, 0.0)
    begin = np.array([standing.day.toordinal() for standing in standings])[:, None]
    first_week = week_of(begin + days.last[:, None]) - SKILL_WEEKS + 1
    since = np.arange(losses.shape[1])
    counted = (week_of(begin + since) >= first_week) & (since <= days.last[:, None])
    before = week_of(begin - 1) - SKILL_WEEKS + 1 + np.arange(SKILL_WEEKS)
    past = np.stack([standing.losses for standing in standings])
    return ratio(
        (past * (before >= first_week)[:, :, None, None]).sum(axis=1)
        + (losses * counted[:, :, None, None]).sum(axis=1)
    )
