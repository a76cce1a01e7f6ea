"""A backtest of any folder of records: honest, scored right, and stopped by no single dam."""

from __future__ import annotations

import csv
import gzip
import json
import math
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from warning.backtesting import hindcast_sites
from warning.domain.forecast import HORIZON_DAYS, POOL, QUANTILE_LEVELS
from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError, UsageError
from warning.forecasting.features import base_values
from warning.forecasting.pool import issue_rows, operational
from warning.forecasting.registry import Registry
from warning.forecasting.scaling import fit_scale, lead_scale
from warning.forecasting.training_plan import TrainingSettings
from warning.sources.tidy_csv import read_tidy
from warning.verification.backtest import Hindcasts, cheap_hindcasts, run_backtest
from warning.verification.forecasts_file import COLUMNS, quantile_column
from warning.verification.report import BacktestReport
from warning.verification.report_json import report_json
from warning.verification.report_text import report_text
from warning.verification.sites import Site, Split, infer_variable, site_from_record

FIRST = date(2015, 1, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 900
LEADS = range(1, HORIZON_DAYS + 1)


def read(path: Path) -> RawReadings:
    return read_tidy(path).readings()


def write_tidy(path: Path, columns: Mapping[str, np.ndarray], first: date = FIRST) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["date", *columns])
        for row, cells in enumerate(zip(*columns.values(), strict=True)):
            shown = ["" if math.isnan(cell) else f"{cell:.4f}" for cell in cells]
            writer.writerow([(first + timedelta(days=row)).isoformat(), *shown])


def lake_levels(seed: int, days: int = DAYS) -> np.ndarray:
    """Levels whose daily change persists, around a slow season."""
    rng = np.random.default_rng(seed)
    change = np.zeros(days)
    for day in range(1, days):
        change[day] = 0.8 * change[day - 1] + 0.05 * rng.standard_normal()
    season = 5 * np.sin(2 * np.pi * np.arange(days) / 365)
    pull = np.zeros(days)
    for day in range(1, days):
        pull[day] = 0.99 * pull[day - 1] + change[day]
    return np.asarray(100.0 + season + pull)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("records")
    write_tidy(place / "alder.csv", {"level_m": lake_levels(7), "storage_m3": lake_levels(7) * 1e6})
    holes = lake_levels(2)
    holes[[100, 101, 500, 801]] = math.nan
    write_tidy(place / "birch.csv", {"level_m": holes})
    write_tidy(
        place / "cedar.csv",
        {"storage_m3": lake_levels(3) * 1e6, "rain_mm": np.random.default_rng(5).gamma(0.3, 9.0, DAYS)},
    )
    return place


@pytest.fixture(scope="module")
def backtest(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[BacktestReport, Path]:
    path = tmp_path_factory.mktemp("out") / "forecasts.csv"
    return run_backtest(folder, read, with_two_networks, forecasts_path=path), path


def with_two_networks(sites: Mapping[str, Site]) -> Hindcasts:
    """Answers as networks would give them: yesterday's change goes on, in two strengths."""
    results = {}
    for site in sites.values():
        scale = fit_scale(site.series, site.variable, site.train_end)
        rows = issue_rows(site.series, site.variable, site.train_end)
        change = base_values(site.series, site.variable, rows) - base_values(
            site.series, site.variable, rows - 1
        )
        answers = {
            name: np.nan_to_num(share * change[:, None] * np.arange(1, 8) ** 0.7 / lead_scale(scale))
            for name, share in (("lstm_5", 0.6), ("lstm_9", 0.8), ("cnn_lstm", 0.7))
        }
        results[site.id] = operational(site.series, scale, site.train_end, answers)
    return Hindcasts(results, {}, model_id="m-test")


def forecast_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_method_is_scored_at_every_dam(backtest: tuple[BacktestReport, Path]) -> None:
    report, _ = backtest
    assert [dam.id for dam in report.dams] == ["alder", "birch", "cedar"]
    assert report.methods[:3] == (POOL, "lstm_ensemble", "cnn_lstm")
    assert {"lstm_5", "lstm_9", "persistence", "drift", "ridge"} <= set(report.methods)
    assert report.ratio("persistence") == pytest.approx(1.0)
    assert 0 < report.ratio(POOL) < 1
    assert [report.better_than_persistence(lead) for lead in LEADS] == [3] * 7
    assert 0.7 < report.coverage() <= 1


def test_the_file_holds_what_was_scored(folder: Path, backtest: tuple[BacktestReport, Path]) -> None:
    """Scores taken from the file with naive loops are the report's."""
    report, path = backtest
    rows = forecast_rows(path)
    assert len(rows) == report.forecast_rows
    truth: dict[tuple[str, str], float] = {}
    for dam in report.dams:
        for record in csv.DictReader((folder / f"{dam.id}.csv").open()):
            if record[dam.variable.value]:
                truth[dam.id, record["date"]] = float(record[dam.variable.value])
    errors: dict[tuple[str, str, int], list[float]] = {}
    inside: list[bool] = []
    for row in rows:
        actual = truth.get((row["reservoir"], row["valid_on"]))
        if actual is None:
            continue
        key = row["reservoir"], row["method"], int(row["lead_days"])
        errors.setdefault(key, []).append(abs(float(row["mean"]) - actual))
        if row["method"] == POOL:
            inside.append(float(row["q05"]) <= actual <= float(row["q95"]))
    for dam in report.dams:
        assert not any(dam.flags[dam.variable].values())  # nothing is doubted here, so every reading is truth
        for method, ratios in dam.ratios.items():
            for lead in LEADS:
                ours = errors[dam.id, method, lead]
                theirs = errors[dam.id, "persistence", lead]
                assert len(ours) == len(theirs) == dam.targets[lead - 1]
                assert ratios[lead - 1] == pytest.approx(sum(ours) / sum(theirs), rel=1e-6)
    assert report.coverage() == pytest.approx(sum(inside) / len(inside))


def test_the_losses_of_the_quantiles_are_those_of_the_file(
    folder: Path, backtest: tuple[BacktestReport, Path]
) -> None:
    """Pinball loss, CRPS and shares below, taken from the file with naive loops."""
    report, path = backtest
    alder = report.dams[0]
    truth = {r["date"]: float(r["level_m"]) for r in csv.DictReader((folder / "alder.csv").open())}
    lead = 3
    losses, below = dict.fromkeys(QUANTILE_LEVELS, 0.0), dict.fromkeys(QUANTILE_LEVELS, 0)
    count = 0
    for row in forecast_rows(path):
        if (row["reservoir"], row["method"], row["lead_days"]) != ("alder", POOL, str(lead)):
            continue
        if (actual := truth.get(row["valid_on"])) is None:
            continue
        count += 1
        for level in QUANTILE_LEVELS:
            said = float(row[quantile_column(level)])
            losses[level] += level * (actual - said) if actual >= said else (1 - level) * (said - actual)
            below[level] += actual <= said
    means = [losses[level] / count for level in QUANTILE_LEVELS]
    assert alder.pinball[lead - 1] == pytest.approx(means, rel=1e-5)
    assert alder.below[lead - 1] == tuple(below.values())
    area, before = 0.0, (0.0, 0.0)
    for point in [*zip(QUANTILE_LEVELS, means, strict=True), (1.0, 0.0)]:
        area += (point[0] - before[0]) * (point[1] + before[1]) / 2
        before = point
    assert alder.crps[lead - 1] == pytest.approx(2 * area, rel=1e-5)


def test_a_forecast_is_issued_on_every_test_day_with_a_reading(backtest: tuple[BacktestReport, Path]) -> None:
    report, path = backtest
    for dam in report.dams:
        issued = {
            r["issued_on"] for r in forecast_rows(path) if r["reservoir"] == dam.id and r["method"] == POOL
        }
        readings = 896 if dam.id == "birch" else 900
        assert len(issued) == dam.issue_days == readings - round(0.75 * readings)
        assert min(issued) == dam.validation_end.isoformat()
    assert report.dams[0].train_end == FIRST + timedelta(days=540)
    assert report.dams[0].validation_end == FIRST + timedelta(days=675)


def test_the_file_is_in_the_published_form(backtest: tuple[BacktestReport, Path]) -> None:
    rows = forecast_rows(backtest[1])
    outer = ("01", "025", "05"), ("95", "975", "99")
    names = [f"q{digits}" for digits in (*outer[0], *range(10, 100, 10), *outer[1])]
    assert list(rows[0]) == [*COLUMNS, *names]
    for row in rows[:: len(rows) // 500]:
        lead = (date.fromisoformat(row["valid_on"]) - date.fromisoformat(row["issued_on"])).days
        assert lead == int(row["lead_days"])
        quantiles = [float(row[name]) for name in names] if row["method"] == POOL else []
        assert quantiles == sorted(quantiles)
        assert (row["q50"] == "") is (row["method"] != POOL)


def test_the_probability_of_a_high_day_is_scored_on_every_target(
    folder: Path, backtest: tuple[BacktestReport, Path]
) -> None:
    report, _ = backtest
    alder = report.dams[0]
    levels = read(folder / "alder.csv").values[Variable.LEVEL_M]
    assert alder.high_value == pytest.approx(np.quantile(levels, 0.95))
    assert sum(row.count for row in alder.reliability) == sum(alder.targets)
    came = sum(row.count * row.frequency for row in alder.reliability if row.count)
    assert came == pytest.approx(sum(alder.high_band.count))
    assert all(0 <= score <= 1 for score in (*alder.brier, *alder.persistence_brier))
    assert report.brier_ratio() < 1


def test_the_columns_of_quantiles_have_names_of_their_own() -> None:
    assert len({quantile_column(level) for level in QUANTILE_LEVELS}) == len(QUANTILE_LEVELS)


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    paths = tmp_path / "a.csv", tmp_path / "b.csv"
    reports = [run_backtest(folder, read, cheap_hindcasts, forecasts_path=path) for path in paths]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert report_text(reports[0]).replace("a.csv", "b.csv") == report_text(reports[1])


def test_a_compressed_file_holds_the_same(folder: Path, tmp_path: Path) -> None:
    plain, packed = tmp_path / "f.csv", tmp_path / "f.csv.gz"
    for path in (plain, packed):
        run_backtest(folder, read, cheap_hindcasts, forecasts_path=path)
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


def test_cutting_the_file_changes_no_earlier_forecast(folder: Path, tmp_path: Path) -> None:
    split = Split(FIRST + timedelta(days=540), FIRST + timedelta(days=675))
    cut = tmp_path / "cut"
    cut.mkdir()
    for path in folder.glob("*.csv"):
        lines = path.read_text().splitlines()
        (cut / path.name).write_text("\n".join(lines[: 1 + 800]) + "\n")
    for place, name in ((folder, "whole.csv"), (cut, "cut.csv")):
        run_backtest(place, read, with_two_networks, split=split, forecasts_path=tmp_path / name)
    last = (FIRST + timedelta(days=799)).isoformat()
    whole = [row for row in forecast_rows(tmp_path / "whole.csv") if row["issued_on"] <= last]
    assert len(whole) > 10_000
    assert whole == forecast_rows(tmp_path / "cut.csv")


def test_a_broken_dam_is_reported_and_stops_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "alder.csv", tmp_path)
    (tmp_path / "empty.csv").write_text("date,level_m\n")
    write_tidy(tmp_path / "rain_only.csv", {"rain_mm": np.ones(50)})
    write_tidy(tmp_path / "still.csv", {"level_m": np.full(DAYS, 7.0)})
    write_tidy(tmp_path / "short.csv", {"level_m": lake_levels(4, days=20)})
    write_tidy(tmp_path / "blank.csv", {"level_m": np.full(40, math.nan)})
    report = run_backtest(tmp_path, read, cheap_hindcasts)
    assert [dam.id for dam in report.dams] == ["alder"]
    reasons = {
        "empty": "no level_m and no storage_m3 in 0 rows",
        "rain_only": "no level_m and no storage_m3",
        "still": "does not change",
        "short": "too little history",
        "blank": "no level_m and no storage_m3",
    }
    assert report.skipped.keys() == reasons.keys()
    for name, words in reasons.items():
        assert words in report.skipped[name]
        assert f"{name}: skipped" in report_text(report)


def test_a_dam_that_the_forecaster_leaves_out_is_reported(folder: Path) -> None:
    def lossy(sites: Mapping[str, Site]) -> Hindcasts:
        found = cheap_hindcasts(sites)
        return Hindcasts({"alder": found.results["alder"]}, {"birch": "the networks gave up"})

    report = run_backtest(folder, read, lossy)
    assert [dam.id for dam in report.dams] == ["alder"]
    assert report.skipped["birch"] == "the networks gave up"
    assert "nothing" in report.skipped["cedar"]


def test_a_split_outside_the_record_is_reported(folder: Path) -> None:
    report = run_backtest(folder, read, cheap_hindcasts, split=Split(date(2030, 1, 1), date(2031, 1, 1)))
    assert report.dams == ()
    assert "no reading in the test part" in report.skipped["alder"]
    assert math.isnan(report.ratio(POOL))


def test_a_split_needs_both_days_in_order() -> None:
    with pytest.raises(ValueError, match="both"):
        Split(train_end=FIRST)
    with pytest.raises(ValueError, match="after training"):
        Split(FIRST, FIRST)


def test_the_report_is_json_without_nan(backtest: tuple[BacktestReport, Path]) -> None:
    report, _ = backtest

    def refuse(token: str) -> float:
        raise AssertionError(f"{token} is no JSON")

    found = json.loads(report_json(report), parse_constant=refuse)
    assert found["model_id"] == "m-test"
    assert found["mae_ratio_to_persistence"][POOL]["all"] == pytest.approx(report.ratio(POOL))
    assert [dam["forecast_variable"] for dam in found["dams"]] == ["level_m", "level_m", "storage_m3"]
    empty = BacktestReport(
        folder="x", model_id=None, dams=(), skipped={}, forecasts_path=None, forecast_rows=0
    )
    assert json.loads(report_json(empty))["coverage_90"]["all"] is None


def test_the_text_says_what_was_inferred_and_doubted(backtest: tuple[BacktestReport, Path]) -> None:
    text = report_text(backtest[0])
    assert "alder: level (900 readings); 2015-01-01 to 2017-06-18" in text
    assert "cedar: storage (900 readings; no level)" in text
    assert "dams < 1 of 3" in text
    assert "alder: none" in text


def test_screened_out_readings_are_no_truth_and_are_counted(folder: Path, tmp_path: Path) -> None:
    levels = lake_levels(7)
    levels[820] = -999999.0
    write_tidy(tmp_path / "alder.csv", {"level_m": levels})
    (spoilt,) = run_backtest(tmp_path, read, cheap_hindcasts).dams
    clean = next(d for d in run_backtest(folder, read, cheap_hindcasts).dams if d.id == "alder")
    assert spoilt.flags["level_m"]["sentinel"] == 1
    assert spoilt.targets[0] == clean.targets[0] - 1
    assert spoilt.persistence_mae[0] == pytest.approx(clean.persistence_mae[0], rel=0.05)


def test_networks_are_trained_on_the_records_and_scored(folder: Path, tmp_path: Path) -> None:
    registry, told = Registry(tmp_path), list[str]()
    tiny = TrainingSettings(
        max_epochs=2, lengths=(4, 6), cnn_channels=4, cnn_cells=4, cnn_twins=1, device="cpu"
    )

    def train(sites: Mapping[str, Site]) -> Hindcasts:
        return hindcast_sites(sites, tiny, registry, NOW, lambda what, share: told.append(f"{what} {share}"))

    report = run_backtest(folder, read, train)
    assert report.skipped == {}
    assert {"lstm_04", "lstm_06", "lstm_ensemble", "cnn_lstm", "ridge", POOL} <= set(report.methods)
    assert report.ratio(POOL) < 1
    model = registry.active()
    assert model is not None
    assert (model.model_id, set(model.sites)) == (report.model_id, {"alder", "birch", "cedar"})
    assert model.sites["alder"].train_end == report.dams[0].train_end
    assert told


def test_what_perfect_rain_would_buy_is_reported_beside_and_plainly_as_an_upper_bound(tmp_path: Path) -> None:
    rain = np.random.default_rng(3).exponential(20.0, 900) * (np.random.default_rng(4).random(900) < 0.2)
    levels = 100 + np.cumsum(0.02 * (rain - rain.mean()))
    write_tidy(tmp_path / "alder.csv", {"level_m": levels, "rain_mm": rain})
    write_tidy(tmp_path / "birch.csv", {"level_m": lake_levels(5, days=900)})
    tiny = TrainingSettings(
        max_epochs=10, batch_size=64, learning_rate=5e-3, averaging=0.9, lengths=(4,), cnn_channels=4,
        cnn_cells=4, cnn_twins=1, device="cpu",
    )  # fmt: skip

    def train(sites: Mapping[str, Site]) -> Hindcasts:
        return hindcast_sites(
            sites, tiny, Registry(tmp_path / "m"), NOW, lambda *_: None, perfect_outlook=True
        )

    report = run_backtest(tmp_path, read, train)
    alder, birch = report.dams
    assert (alder.upper_bounds.keys(), birch.upper_bounds.keys()) == ({"rain"}, set())
    assert sum(alder.upper_bounds["rain"]) < 0.98 * sum(alder.ratios[POOL])
    assert "UPPER BOUND: the pool with rain known in advance, which nobody has" in report_text(report)


def test_a_folder_of_dams_too_short_to_learn_from_is_refused_by_the_training(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dam: too little history"):
        hindcast_sites({"dam": short_site()}, TrainingSettings(), Registry(tmp_path), NOW, lambda *_: None)


def short_site() -> Site:
    days = np.datetime64(FIRST, "D") + np.arange(100)
    raw = RawReadings(days, {Variable.LEVEL_M: lake_levels(6, days=100)})
    return site_from_record("dam", raw, Split(FIRST + timedelta(days=10), FIRST + timedelta(days=50)))


def test_progress_is_told_for_every_dam(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run_backtest(folder, read, cheap_hindcasts, on_progress=lambda *step: told.append(step))
    assert told == [(what, done, 3) for what in ("screening", "scoring") for done in (1, 2, 3)]


def test_a_folder_without_records_and_an_unfit_file_name_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found no file"):
        run_backtest(tmp_path, read, cheap_hindcasts)
    with pytest.raises(UsageError, match="ends in"):
        run_backtest(folder, read, cheap_hindcasts, forecasts_path=tmp_path / "f.xlsx")
    with pytest.raises(UsageError, match="cannot be written"):
        run_backtest(folder, read, cheap_hindcasts, forecasts_path=tmp_path / "none" / "f.csv")


@pytest.mark.parametrize(
    ("levels", "storages", "expected"),
    [
        (10, 0, Variable.LEVEL_M),
        (10, 20, Variable.LEVEL_M),
        (9, 20, Variable.STORAGE_M3),
        (0, 20, Variable.STORAGE_M3),
    ],
)
def test_the_level_is_forecast_unless_it_is_mostly_missing(
    levels: int, storages: int, expected: Variable
) -> None:
    days = np.datetime64("2020-01-01", "D") + np.arange(30)
    columns = {
        Variable.LEVEL_M: np.where(np.arange(30) < levels, 1.0, np.nan),
        Variable.STORAGE_M3: np.where(np.arange(30) < storages, 1.0, np.nan),
    }
    variable, said = infer_variable("dam", RawReadings(days, columns))
    assert variable is expected
    assert f"{levels if expected is Variable.LEVEL_M else storages} readings" in said


def test_a_record_of_neither_is_refused() -> None:
    days = np.datetime64("2020-01-01", "D") + np.arange(3)
    with pytest.raises(ForecastError, match="no level_m and no storage_m3"):
        infer_variable("dam", RawReadings(days, {Variable.RAIN_MM: np.ones(3)}))
