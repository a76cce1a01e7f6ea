"""A forecast from a standing and the readings since is that of the whole record, whatever that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.readings import RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening import screen
from warning.domain.variables import FloatArray, Variable
from warning.forecasting import daily
from warning.forecasting.batches import SiteJob
from warning.forecasting.daily import Dam as Going
from warning.forecasting.daily import Question, go_on
from warning.forecasting.joined import ordinals_of
from warning.forecasting.model import SiteScale
from warning.forecasting.pool import OPERATIONAL_RULE, PoolResult, issue_rows, operational, replayed
from warning.forecasting.ragged import Arrays
from warning.forecasting.resume import Reached, Resumption, resumed
from warning.forecasting.scaling import fit_scale
from warning.forecasting.since import holds, readings_since
from warning.forecasting.standing import (
    SETTLING_DAYS,
    Standing,
    fingerprint,
    from_arrays,
    standing_at,
    standing_row,
    to_arrays,
)
from warning.forecasting.weights import WeightRule

LEVEL = Variable.LEVEL_M
FIRST_DAY = date(2019, 3, 1)
BOUNDS = {LEVEL: Bounds(60.0, 140.0), Variable.INFLOW_M3S: Bounds(0.0, 5000.0)}
NETWORKS = ("lstm_04", "lstm_08", "cnn_lstm")


@dataclass(frozen=True)
class Dam:
    """FAKE networks, real everything else: a dam whose record may be cut on any day."""

    raw: RawReadings
    z: dict[str, FloatArray]
    fit_end: date

    def series(self, days: int) -> ReadingSeries:
        return screen(self.raw.until(FIRST_DAY + timedelta(days=days - 1)), BOUNDS, ScreeningLimits())

    def answers(self, series: ReadingSeries, rows: np.ndarray) -> dict[str, FloatArray]:
        days = rows + series.row(series.first_day) + (series.first_day - FIRST_DAY).days
        return {name: z[days] for name, z in self.z.items()}

    def whole(self, series: ReadingSeries, scale: SiteScale) -> PoolResult:
        rows = issue_rows(series, LEVEL, self.fit_end)
        z = self.answers(series, rows)
        return operational(series, scale, self.fit_end, z, bounds=BOUNDS[LEVEL], last_only=True)

    def standing(self, series: ReadingSeries, scale: SiteScale) -> Standing | None:
        z = self.answers(series, issue_rows(series, LEVEL, self.fit_end))
        past = replayed(series, scale, self.fit_end, z, OPERATIONAL_RULE)
        row = standing_row(past)
        if row is None:
            return None
        return standing_at(row, series, scale, self.fit_end, past, OPERATIONAL_RULE)

    def predict(self, questions: Sequence[Question]) -> list[dict[str, FloatArray]]:
        days = [ordinals_of(series, rows) - FIRST_DAY.toordinal() for series, _, rows in questions]
        return [{name: z[own] for name, z in self.z.items()} for own in days]

    def going_on(
        self, series: ReadingSeries, scale: SiteScale, standing: Standing, remembered: Arrays
    ) -> Going:
        assert holds(series, scale, standing.day, standing.mark)
        recent = readings_since(series, scale, standing.day, refits_known=False)
        return Going(SiteJob(recent, scale, self.fit_end, BOUNDS[LEVEL]), standing, remembered)


def make_dam(seed: int, days: int, gaps: float, nonsense: float, flow_ends: int) -> Dam:
    random = np.random.default_rng(seed)
    storms = random.exponential(1.0, days) * (random.random(days) < 0.06)
    inflow = np.convolve(storms, 0.6 ** np.arange(10))[:days]
    stored = np.convolve(inflow, 0.95 ** np.arange(90))[:days]
    level = 100 + 5 * np.sin(np.arange(days) / 58 + seed) + 0.3 * stored + random.normal(0, 0.02, days)
    level[random.random(days) < nonsense] += random.choice([-25.0, 9.0])
    flow = 20 + 100 * inflow
    flow[flow_ends:] = np.nan
    for column in (level, flow):
        for start in np.flatnonzero(random.random(days) < gaps):
            column[start : start + random.integers(1, 25)] = np.nan
    level[[0, days - 1]] = 100.0
    values = {LEVEL: level, Variable.INFLOW_M3S: flow, Variable.RAIN_MM: np.round(30 * storms, 1)}
    z = {name: np.round(random.normal(0, 1, (days, 7)), 6) for name in NETWORKS}
    fit_end = FIRST_DAY + timedelta(days=round(0.6 * days))
    return Dam(RawReadings(np.datetime64(FIRST_DAY, "D") + np.arange(days), values), z, fit_end)


def assert_same(found: PoolResult, expected: PoolResult, scale: SiteScale) -> None:
    """Equal within a billionth of the dam's daily change, and of the shares that have no unit."""
    assert found.first_day + timedelta(days=int(found.rows[0])) == expected.first_day + timedelta(
        days=int(expected.rows[0])
    )
    assert list(found.experts) == list(expected.experts)
    pairs = [
        (getattr(found, n), getattr(expected, n), n)
        for n in ("base", "pooled", "ensemble", "mean", "quantiles")
    ]
    pairs += [(found.experts[n], expected.experts[n], n) for n in expected.experts]
    for one, other, name in pairs:
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9 * scale.daily_change, err_msg=name)
    for name in ("weights", "skill"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(found.out_of_range, expected.out_of_range)


@given(
    seed=st.integers(0, 10**6),
    days=st.integers(330, 700),
    later=st.lists(st.integers(0, 75), min_size=1, max_size=3),
    gaps=st.sampled_from([0.0, 0.01, 0.05]),
    nonsense=st.sampled_from([0.0, 0.02]),
    flow_ends=st.integers(100, 800),
)
@settings(max_examples=12)
def test_a_standing_and_the_readings_since_give_what_the_whole_record_gives(
    seed: int, days: int, later: list[int], gaps: float, nonsense: float, flow_ends: int
) -> None:
    dam = make_dam(seed, days + max(later) + 1, gaps, nonsense, flow_ends)
    trained_on = dam.series(days)
    scale = fit_scale(trained_on, LEVEL, dam.fit_end)
    standing = dam.standing(trained_on, scale)
    if standing is None:
        return
    kept = from_arrays(standing.experts, to_arrays(standing))
    memory: Arrays = {}
    for together in (later, later[:1], [more + 1 for more in later]):
        records = [dam.series(days + more) for more in together]
        going = {str(i): dam.going_on(series, scale, kept, memory) for i, series in enumerate(records)}
        found = go_on(going, dam.predict, OPERATIONAL_RULE, whole=True)
        for one, series in zip(found.values(), records, strict=True):
            assert_same(one, dam.whole(series, scale), scale)
        memory = going["0"].memory()


@pytest.mark.parametrize(("corrected", "again"), [(400 - 2, 5), (400 - 9, SETTLING_DAYS + 1)])
def test_tomorrow_lives_through_the_last_days_alone_unless_one_before_was_corrected(
    corrected: int, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dam = make_dam(1, 401, 0.0, 0.0, 800)
    today = dam.series(400)
    scale = fit_scale(today, LEVEL, dam.fit_end)
    standing = dam.standing(today, scale)
    assert standing is not None
    lived_through: list[int] = []

    def watched(dams: Sequence[Resumption], rule: WeightRule) -> list[tuple[PoolResult, Reached]]:
        lived_through.extend(len(one.z) for one in dams)
        return resumed(dams, rule)

    monkeypatch.setattr(daily, "resumed", watched)
    going = dam.going_on(today, scale, standing, {})
    go_on({"dam": going}, dam.predict, OPERATIONAL_RULE, whole=True)
    dam.raw.values[LEVEL][corrected] += 0.01
    tomorrow = dam.series(401)
    next_day = dam.going_on(tomorrow, scale, standing, going.memory())
    found = go_on({"dam": next_day}, dam.predict, OPERATIONAL_RULE, whole=True)
    assert lived_through == [SETTLING_DAYS, again]
    assert_same(found["dam"], dam.whole(tomorrow, scale), scale)


@pytest.mark.parametrize("variable", [LEVEL, Variable.RAIN_MM])
def test_a_corrected_past_has_another_fingerprint(variable: Variable) -> None:
    dam = make_dam(1, 400, 0.01, 0.0, 400)
    series, day = dam.series(400), FIRST_DAY + timedelta(days=380)
    mark = fingerprint(series, day)

    def with_reading_on(row: int) -> ReadingSeries:
        column = series.values[variable].copy()
        column[row] = 77.0
        values = {**series.values, variable: column}
        return ReadingSeries(series.first_day, values, series.at_once, series.settled)

    assert fingerprint(with_reading_on(379), day) != mark
    assert fingerprint(with_reading_on(380), day) == mark
    assert fingerprint(series, FIRST_DAY) is None
