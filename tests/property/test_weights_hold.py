"""What the adaptive weights must satisfy for any errors whatever."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from warning.domain.variables import FloatArray
from warning.forecasting.weights import WeightRule, adaptive_weights, combine

ERRORS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 25), st.integers(1, 3), st.integers(1, 5)),
    elements=st.one_of(st.just(np.nan), st.just(0.0), st.floats(-1e9, 1e9)),
)
RULES = st.builds(
    WeightRule,
    rate=st.floats(0.01, 1),
    decay=st.floats(0.5, 1),
    forgetting=st.floats(0.1, 1),
    window=st.integers(1, 8),
    squared=st.booleans(),
)


@given(ERRORS, RULES)
@settings(max_examples=150, deadline=None)
def test_weights_are_never_negative_and_sum_to_one(errors: FloatArray, rule: WeightRule) -> None:
    weights = adaptive_weights(errors, rule)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=2), 1.0, rtol=1e-9)


@given(ERRORS, RULES, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_members_does_not_matter(
    errors: FloatArray, rule: WeightRule, random: object
) -> None:
    order = list(range(errors.shape[2]))
    random.shuffle(order)  # type: ignore[attr-defined]
    permuted = adaptive_weights(errors[:, :, order], rule)
    np.testing.assert_allclose(permuted, adaptive_weights(errors, rule)[:, :, order], rtol=1e-9, atol=1e-12)


@given(ERRORS, RULES, st.integers(0, 24))
@settings(max_examples=80, deadline=None)
def test_later_errors_change_no_earlier_weight(errors: FloatArray, rule: WeightRule, cut: int) -> None:
    cut = min(cut, len(errors) - 1)
    changed = errors.copy()
    changed[cut + 1 :] = 123.0
    before = adaptive_weights(errors, rule)[: cut + 1]
    np.testing.assert_array_equal(adaptive_weights(changed, rule)[: cut + 1], before)
    np.testing.assert_array_equal(adaptive_weights(errors[: cut + 1], rule), before)


@given(ERRORS, RULES, st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_a_member_that_is_always_exact_ends_with_the_most_weight(
    errors: FloatArray, rule: WeightRule, exact: int
) -> None:
    exact %= errors.shape[2]
    others = np.where(np.isfinite(errors), np.abs(errors) + 1.0, 1.0)
    others[:, :, exact] = 0.0
    weights = adaptive_weights(others, rule)[-1]
    assert (weights[:, exact] >= weights.max(axis=1)).all()


@given(ERRORS, RULES)
@settings(max_examples=80, deadline=None)
def test_a_mean_lies_within_its_members(errors: FloatArray, rule: WeightRule) -> None:
    forecasts = errors[::-1]
    mean, used = combine(forecasts, adaptive_weights(errors, rule))
    missing = np.isnan(forecasts).all(axis=2)
    assert (np.isnan(mean) == missing).all()
    low = np.where(np.isnan(forecasts), np.inf, forecasts).min(axis=2)[~missing]
    high = np.where(np.isnan(forecasts), -np.inf, forecasts).max(axis=2)[~missing]
    slack = 1e-9 * (1 + np.abs(high) + np.abs(low))
    assert ((mean[~missing] >= low - slack) & (mean[~missing] <= high + slack)).all()
    np.testing.assert_allclose(used[~missing].sum(axis=-1), 1.0, rtol=1e-9)
