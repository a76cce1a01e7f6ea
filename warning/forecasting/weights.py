"""The adaptive weights of Choi & Lee 2018 (doi:10.1155/2018/2470171), as published and with a decay.

For one dam and one lead day, with the error e_m of member m, over the known errors k = 1, 2, …:

    (5)  ε_m(k)   = Σ_{t=k−v+1..k} γ^(k−t) |e_m(t)|
    (4)  Δw_m(k)  = (1/ε_m(k)) / Σ_n (1/ε_n(k))
    (3)  w_m(k+1) = ρ w_m(k) + λ Δw_m(k)          w_m(0) = 0, published: ρ = 1
    (6)  w_m      = w_m / Σ_n w_n

Arrays have the axes (issue row, lead day, member). The error of a forecast for lead h is known h
rows later: whatever is computed for row k uses errors whose target day is row k or earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warning.domain.variables import FloatArray, IndexArray


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRule:
    """The constants of rule (2)-(6); the defaults except `decay` are the paper's.

    `rate` is λ, `decay` ρ (1 is the published rule, which after a year hardly moves), `forgetting` γ,
    `window` v in known errors. `squared` puts e² into (5) in place of |e|. Members without any error
    in the window share Δw alone, which is the limit of (4) for ε → 0.
    """

    rate: float = 0.3
    decay: float = 0.95
    forgetting: float = 0.85
    window: int = 4
    squared: bool = False

    def __post_init__(self) -> None:
        for name, value, sound in (
            ("rate", self.rate, 0 < self.rate < float("inf")),
            ("decay", self.decay, 0 < self.decay <= 1),
            ("forgetting", self.forgetting, 0 < self.forgetting <= 1),
            ("window", self.window, self.window >= 1),
        ):
            if not sound:
                raise ValueError(f"weight rule: {name} = {value} is out of range")


PUBLISHED = WeightRule(decay=1.0)


def known_errors(forecasts: FloatArray, truth: FloatArray) -> FloatArray:
    """Return e[k, h-1, m] = truth[k] − forecasts[k−h, h-1, m]: the errors that become known on row k.

    `forecasts` is (rows, leads, members) by issue row and `truth` (rows,); the rows are consecutive
    days. NaN where either side is missing, and for targets of forecasts issued before row 0.
    """
    if truth.shape != forecasts.shape[:1]:
        raise ValueError(f"{truth.size} true values for {forecasts.shape[0]} rows of forecasts")
    errors = np.full(forecasts.shape, np.nan)
    for lead in range(1, min(forecasts.shape[1], truth.size - 1) + 1):
        errors[lead:, lead - 1] = truth[lead:, None] - forecasts[:-lead, lead - 1]
    return errors


def adaptive_weights(errors: FloatArray, rule: WeightRule) -> FloatArray:
    """Return the weights (rows, leads, members) as they stand once the errors of each row are known.

    `errors` come from `known_errors`. A row on which no member's error is known changes nothing.
    A member's ε is the weighted mean over the errors it has in the window, which for complete
    windows leaves (4) as it is; a member with none there earns nothing on that row. Before the
    first known error all weights are equal. Every row sums to 1.
    """
    rows, leads, members = errors.shape
    weights = np.full((rows, leads, members), 1.0 / max(members, 1))
    for lead in range(leads):
        known = np.flatnonzero(np.isfinite(errors[:, lead]).any(axis=1))
        if known.size == 0:
            continue
        grown = _normalised(_accumulated(_increments(errors[known, lead], rule), rule))
        newest = np.searchsorted(known, np.arange(rows), side="right") - 1
        begun = newest >= 0
        weights[begun, lead] = grown[newest[begun]]
    return weights


@dataclass(frozen=True, slots=True)
class WeightState:
    """Where a rule stands: w before (6) (leads, members), and the window's losses (window, leads, members).

    The newest losses come first; NaN where a member had none. Both may have another axis before the leads.
    """

    weight: FloatArray
    losses: FloatArray


def weight_state(errors: FloatArray, rule: WeightRule) -> WeightState:
    """Return where `rule` stands after all of `errors` (rows, leads, members) from `known_errors`."""
    _, leads, members = errors.shape
    weight = np.zeros((leads, members))
    losses = np.full((rule.window, leads, members), np.nan)
    for lead in range(leads):
        known = errors[np.isfinite(errors[:, lead]).any(axis=1), lead]
        if len(known):
            weight[lead] = _accumulated(_increments(known, rule), rule)[-1]
            newest = known[::-1][: rule.window]
            losses[: len(newest), lead] = _losses(newest, rule)
    return WeightState(weight, losses)


def continued_weights(
    state: WeightState, errors: FloatArray, rule: WeightRule, stops: IndexArray
) -> tuple[FloatArray, WeightState]:
    """Return the weights (rows, dams, leads, members) after `state`: `adaptive_weights` without the past.

    Beside them, where the rule stood at each dam once the first `stops` (dams,) rows were known. A
    state of many dams has them before the leads.
    """
    weight, losses = state.weight, state.losses
    stopped = WeightState(weight.copy(), losses.copy())
    weights = np.empty(errors.shape)
    for row, newest in enumerate(_losses(errors, rule)):
        known = np.isfinite(newest).any(axis=-1, keepdims=True)
        losses = np.where(known, np.concatenate((newest[None], losses[:-1])), losses)
        total, mass = np.zeros(newest.shape), np.zeros(newest.shape)
        for age, old in enumerate(losses):
            present = np.isfinite(old)
            total += rule.forgetting**age * np.where(present, old, 0.0)
            mass += rule.forgetting**age * present
        with np.errstate(invalid="ignore"):  # nothing is earned where nothing is known
            grown = rule.decay * weight + rule.rate * _earned(total, mass)
        weight = np.where(known, grown, weight)
        sums = weight.sum(axis=-1, keepdims=True)
        equal = np.full(weight.shape, 1.0 / weight.shape[-1])
        weights[row] = np.divide(weight, sums, out=equal, where=sums > 0)
        stop = stops == row + 1
        stopped.weight[stop], stopped.losses[:, stop] = weight[stop], losses[:, stop]
    return weights, stopped


def combine(forecasts: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return rule (2): the mean (rows, leads), and the weights that were used for it, which sum to 1.

    A member that is NaN drops out of its row and the others share its weight (equally, if they had
    none); where every member is NaN the mean and the weights are NaN: there is no forecast.
    """
    present = np.isfinite(forecasts)
    shares = np.where(present, weights, 0.0)
    weightless = ~(shares.sum(axis=-1, keepdims=True) > 0)
    shares = np.where(weightless & present, 1.0, shares)
    total = shares.sum(axis=-1, keepdims=True)
    used = np.divide(shares, total, out=np.full(shares.shape, np.nan), where=total > 0)
    mean = (used * np.where(present, forecasts, 0.0)).sum(axis=-1)
    return mean, used


def _losses(errors: FloatArray, rule: WeightRule) -> FloatArray:
    losses: FloatArray = errors**2 if rule.squared else np.abs(errors)
    return losses


def _increments(errors: FloatArray, rule: WeightRule) -> FloatArray:
    """Rules (5) and (4): Δw (known errors, members); rows sum to 1."""
    losses = _losses(errors, rule)
    present = np.isfinite(losses)
    losses = np.where(present, losses, 0.0)
    total, mass = np.zeros(losses.shape), np.zeros(losses.shape)
    for age in range(min(rule.window, len(losses))):
        kept = slice(None, len(losses) - age)
        total[age:] += rule.forgetting**age * losses[kept]
        mass[age:] += rule.forgetting**age * present[kept]
    return _earned(total, mass)


def _earned(total: FloatArray, mass: FloatArray) -> FloatArray:
    """Rule (4) from the sums of rule (5) (…, members): losses, and what they count."""
    seen = mass > 0
    epsilon = np.divide(total, mass, out=np.full(total.shape, np.inf), where=seen)
    least = epsilon.min(axis=-1, keepdims=True)
    # 1/ε times the row's least ε: (4) is the same, and nothing overflows however small the errors are
    ratios = np.divide(least, epsilon, out=np.zeros(epsilon.shape), where=epsilon > 0)
    inverse = np.where(least > 0, ratios, (epsilon == 0).astype(np.float64))
    return _normalised(inverse)


def _accumulated(increments: FloatArray, rule: WeightRule) -> FloatArray:
    """Rule (3), one step per known error."""
    weight = np.zeros(increments.shape[1])
    grown = np.empty(increments.shape)
    for k, increment in enumerate(increments):
        weight = rule.decay * weight + rule.rate * increment
        grown[k] = weight
    return grown


def _normalised(weights: FloatArray) -> FloatArray:
    """Rule (6)."""
    shares: FloatArray = weights / weights.sum(axis=-1, keepdims=True)
    return shares
