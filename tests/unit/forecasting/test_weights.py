"""The adaptive weights: cases worked by hand, and a naive loop that shares no code with them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from warning.domain.variables import FloatArray
from warning.forecasting.weights import PUBLISHED, WeightRule, adaptive_weights, combine, known_errors

NAN = math.nan


def one_lead(rows: list[list[float]]) -> FloatArray:
    """Errors (rows, 1 lead, members) from a table of rows."""
    return np.array(rows, dtype=float)[:, None, :]


def naive_weights(errors: FloatArray, rule: WeightRule) -> FloatArray:
    """Rules (3)-(6) for one lead and one row after the other, read off the equations."""
    rows, members = errors.shape
    weight = [0.0] * members
    past: list[list[float]] = []
    out = []
    for k in range(rows):
        if any(math.isfinite(e) for e in errors[k]):
            past.append(list(errors[k]))
            inverse = []
            for m in range(members):
                total = mass = 0.0
                for age, row in enumerate(reversed(past[-rule.window :])):
                    if math.isfinite(row[m]):
                        loss = row[m] ** 2 if rule.squared else abs(row[m])
                        total += rule.forgetting**age * loss
                        mass += rule.forgetting**age
                inverse.append(mass / total if mass else 0.0)
            weight = [
                rule.decay * w + rule.rate * i / sum(inverse) for w, i in zip(weight, inverse, strict=True)
            ]
        out.append([w / sum(weight) if sum(weight) else 1 / members for w in weight])
    return np.array(out)


def test_the_published_rule_gives_the_numbers_worked_by_hand() -> None:
    """Two members, |e| of A: 1, 1 and of B: 3, 1; λ = 0.3, γ = 0.85, v = 4, ρ = 1.

    k=1: ε = (1, 3);              1/ε = (1, 1/3);     Δw = (3/4, 1/4);  w = 0.3·(0.75, 0.25) → (0.75, 0.25)
    k=2: ε = (1 + 0.85·1, 1 + 0.85·3) = (1.85, 3.55);
         Δw = (3.55, 1.85)/5.4 = (0.657407…, 0.342592…)
         w = 0.3·(0.75 + 0.657407…, 0.25 + 0.342592…) → (0.703703…, 0.296296…) = (19/27, 8/27)
    """
    weights = adaptive_weights(one_lead([[1, 3], [-1, 1]]), PUBLISHED)
    np.testing.assert_allclose(weights[:, 0], [[0.75, 0.25], [19 / 27, 8 / 27]], rtol=1e-12)


def test_a_decay_forgets_by_the_numbers_worked_by_hand() -> None:
    """The case above with ρ = 0.5: w(2) = 0.5·0.3·(0.75, 0.25) + 0.3·(71/108, 37/108).

    In units of 0.3: (0.375 + 71/108, 0.125 + 37/108) = (111.5/108, 50.5/108); sum 1.5
    → (111.5/162, 50.5/162).
    """
    weights = adaptive_weights(one_lead([[1, 3], [-1, 1]]), WeightRule(decay=0.5))
    np.testing.assert_allclose(weights[1, 0], [111.5 / 162, 50.5 / 162], rtol=1e-12)


def test_squared_errors_weigh_by_the_numbers_worked_by_hand() -> None:
    """e = (1, 3): ε = (1, 9), 1/ε = (1, 1/9), Δw = (0.9, 0.1)."""
    weights = adaptive_weights(one_lead([[1, 3]]), WeightRule(squared=True))
    np.testing.assert_allclose(weights[0, 0], [0.9, 0.1], rtol=1e-12)


def test_errors_older_than_the_window_no_longer_count() -> None:
    """v = 1: on the second row ε = (2, 2), so Δw = (0.5, 0.5) whatever came before."""
    rule = WeightRule(window=1, decay=1e-9)
    weights = adaptive_weights(one_lead([[1, 1000], [2, 2]]), rule)
    np.testing.assert_allclose(weights[1, 0], [0.5, 0.5], rtol=1e-6)


def test_with_the_published_rule_the_rate_cancels() -> None:
    errors = np.random.default_rng(1).normal(size=(40, 7, 3))
    slow = adaptive_weights(errors, replace(PUBLISHED, rate=0.01))
    np.testing.assert_allclose(slow, adaptive_weights(errors, PUBLISHED), rtol=1e-9)


def test_an_exact_member_takes_the_whole_increment() -> None:
    """ε = (0, 1): in the limit 1/ε gives Δw = (1, 0); two exact members share it."""
    np.testing.assert_array_equal(adaptive_weights(one_lead([[0, 1]]), PUBLISHED)[0, 0], [1, 0])
    both = adaptive_weights(one_lead([[0, 1, 0]]), PUBLISHED)[0, 0]
    np.testing.assert_array_equal(both, [0.5, 0, 0.5])


def test_before_the_first_known_error_all_weights_are_equal() -> None:
    weights = adaptive_weights(one_lead([[NAN, NAN, NAN], [NAN, NAN, NAN], [1, 3, NAN]]), PUBLISHED)
    np.testing.assert_allclose(weights[:2, 0], 1 / 3)
    np.testing.assert_allclose(weights[2, 0], [0.75, 0.25, 0])


def test_a_day_without_truth_changes_no_weight() -> None:
    """The gap is not an error: rows 1, 2 | gap | 3 weigh as rows 1, 2, 3."""
    errors = np.random.default_rng(2).normal(size=(9, 1, 3))
    gap = np.insert(errors, 5, np.full((2, 1, 3), NAN), axis=0)
    weights, with_gap = adaptive_weights(errors, WeightRule()), adaptive_weights(gap, WeightRule())
    np.testing.assert_array_equal(with_gap[5], weights[4])
    np.testing.assert_array_equal(with_gap[6], weights[4])
    np.testing.assert_array_equal(with_gap[7:], weights[5:])


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("decay", [1.0, 0.95, 0.5])
def test_the_vectorised_rule_equals_a_naive_loop(decay: float, squared: bool) -> None:
    random = np.random.default_rng(3)
    errors = random.normal(size=(120, 7, 5))
    errors[random.random(errors.shape) < 0.1] = NAN
    errors[random.random(120) < 0.2] = NAN
    rule = WeightRule(decay=decay, squared=squared)
    weights = adaptive_weights(errors, rule)
    for lead in range(7):
        np.testing.assert_allclose(weights[:, lead], naive_weights(errors[:, lead], rule), rtol=1e-9)


def test_the_error_of_a_lead_is_known_that_many_days_later() -> None:
    truth = np.array([10.0, 11, 13, NAN, 20])
    forecasts = np.zeros((5, 2, 1))
    forecasts[:, 0, 0], forecasts[:, 1, 0] = [1, 2, 3, 4, 5], [10, 20, 30, 40, 50]
    errors = known_errors(forecasts, truth)
    np.testing.assert_array_equal(errors[:, 0, 0], [NAN, 10, 11, NAN, 16])
    np.testing.assert_array_equal(errors[:, 1, 0], [NAN, NAN, 3, NAN, -10])


def test_a_truth_that_does_not_fit_the_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="3 true values for 5 rows"):
        known_errors(np.zeros((5, 7, 1)), np.zeros(3))


def test_a_single_row_knows_no_error() -> None:
    assert np.isnan(known_errors(np.zeros((1, 7, 2)), np.zeros(1))).all()


def test_a_missing_member_drops_out_and_the_others_share_its_weight() -> None:
    """Weights (0.5, 0.3, 0.2), the first missing: (0.3, 0.2)/0.5 = (0.6, 0.4); 0.6·10 + 0.4·20 = 14."""
    mean, used = combine(np.array([[[NAN, 10, 20]]]), np.array([[[0.5, 0.3, 0.2]]]))
    np.testing.assert_allclose(mean, [[14.0]])
    np.testing.assert_allclose(used, [[[0, 0.6, 0.4]]])


def test_when_the_only_weighted_member_is_missing_the_rest_count_equally() -> None:
    mean, used = combine(np.array([[[NAN, 10, 20]]]), np.array([[[1.0, 0, 0]]]))
    np.testing.assert_allclose(mean, [[15.0]])
    np.testing.assert_allclose(used, [[[0, 0.5, 0.5]]])


def test_when_every_member_is_missing_there_is_no_forecast_and_never_a_zero() -> None:
    mean, used = combine(np.full((1, 7, 3), NAN), np.full((1, 7, 3), 1 / 3))
    assert np.isnan(mean).all()
    assert np.isnan(used).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", 0.0), ("rate", NAN), ("decay", 0.0), ("decay", 1.01), ("decay", NAN),
        ("forgetting", 0.0), ("forgetting", NAN), ("window", 0),
    ],
)  # fmt: skip
def test_a_rule_with_a_senseless_constant_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        WeightRule(**{field: value})  # type: ignore[arg-type]
