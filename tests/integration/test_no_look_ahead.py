"""Nothing after the issue day reaches a forecast: a record cut there gives the same one, digit for digit.

The one side is the hindcast over the whole record, as the backtest makes it; the other is the daily
forecast, as the daemon makes it, from the record as it stood on that day.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from warning.domain.readings import RawReadings
from warning.domain.screening import screen
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import Forecaster, hindcast
from warning.forecasting.registry import Registry
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.sources.tidy_csv import read_tidy
from warning.verification.sites import Split, site_from_record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = TrainingSettings(max_epochs=1, cnn_twins=1, most_examples=1000)
SINCE = np.datetime64("2010-01-01")  # a record of twenty years would cost as much as the others together
# a flood, an ordinary day, a doubted newest reading (or the day after one) at each dam
ISSUE_DAYS = {
    "in_krs": (date(2019, 8, 9), date(2019, 3, 1), date(2018, 12, 31)),
    "us_blue_marsh": (date(2021, 9, 2), date(2022, 5, 10), date(2025, 1, 5)),
    "in_idukki": (date(2026, 8, 5), date(2025, 6, 4), date(2025, 6, 6)),
}


@pytest.mark.timeout(280)
def test_cutting_the_record_at_the_issue_day_changes_no_forecast(
    reservoir_records: Path, tmp_path: Path
) -> None:
    raws = {name: since(read_tidy(reservoir_records / f"{name}.csv").readings()) for name in ISSUE_DAYS}
    sites = {name: site_from_record(name, raw, Split()) for name, raw in raws.items()}
    registry = Registry(tmp_path)
    histories = {
        name: TrainingHistory(
            series=site.series,
            variable=site.variable,
            bounds=site.bounds,
            limits=site.limits,
            train_end=site.train_end,
            validation_end=site.validation_end,
        )
        for name, site in sites.items()
    }
    train_model(histories, QUICK, registry, NOW)
    model = registry.active()
    assert model is not None
    settings = ForecasterSettings(device="cpu")
    whole = {
        name: ForecastRequest(name, site.series, site.variable, site.bounds.get(site.variable))
        for name, site in sites.items()
    }
    cuts = []
    for number in range(3):
        cut = {}
        for name, days in ISSUE_DAYS.items():
            series = screen(raws[name].until(days[number]), sites[name].bounds, sites[name].limits)
            cut[name] = ForecastRequest(name, series, whole[name].variable, whole[name].bounds)
        cuts.append(cut)
    forecaster = Forecaster(registry, settings)
    with ThreadPoolExecutor(2) as pool:  # each in a child of its own
        asked = pool.submit(hindcast, model, whole, settings)
        answers = list(pool.map(lambda cut: forecaster(cut, NOW), cuts))
    hindcasts = asked.result().results
    for number, answer in enumerate(answers):
        daily = answer.forecasts
        for name, days in ISSUE_DAYS.items():
            forecast, result = daily[name], hindcasts[name]
            assert forecast.basis_day == days[number]
            row = int(np.flatnonzero(result.rows == sites[name].series.row(days[number]))[0])
            np.testing.assert_array_equal(forecast.mean, result.mean[row])
            np.testing.assert_array_equal(forecast.quantiles, result.quantiles[row])
            assert forecast.members, "the networks took part"
            for expert, values in result.experts.items():
                if expert in forecast.members:
                    np.testing.assert_array_equal(forecast.members[expert], values[row], err_msg=expert)
            assert {n for n in forecast.members if n.startswith(("lstm_", "cnn_"))} >= {"cnn_lstm"}


def since(raw: RawReadings) -> RawReadings:
    """What a record holds from `SINCE` on."""
    keep = raw.days >= SINCE
    return RawReadings(raw.days[keep], {v: c[keep] for v, c in raw.values.items()}, raw.complaints)
