"""What the networks learn from: the readings of the past, with the outlooks that were known at the time."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.domain.readings import RawReadings
from warning.domain.reservoir import Reservoir
from warning.domain.variables import Variable
from warning.learning import training_histories
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.outlook_folder import OutlookFolder

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM
DAYS = 900
FIRST = date(2022, 1, 1)
LAST = FIRST + timedelta(days=DAYS - 1)
DAMS = tuple(
    Reservoir(
        id=name,
        name=name,
        time_zone=ZoneInfo("UTC"),
        datum="",
        forecast_variable=LEVEL,
        limits={},
        level_thresholds=(),
    )
    for name in ("upper", "lower")
)


@pytest.fixture
def source(tmp_path: Path) -> CsvFolderSource:
    source = CsvFolderSource(tmp_path)
    days = np.datetime64(FIRST, "D") + np.arange(DAYS)
    level = 100 + np.cumsum(np.random.default_rng(3).normal(0, 0.1, DAYS))
    for dam in DAMS:
        source.write(dam.id, RawReadings(days, {LEVEL: level, RAIN: np.zeros(DAYS)}))
    return source


def test_outlooks_of_the_past_stand_on_the_days_on_which_they_were_known(
    source: CsvFolderSource, tmp_path: Path
) -> None:
    issued = FIRST + timedelta(days=500)
    line = f"{issued},{issued + timedelta(days=2)},12\n"
    (tmp_path / "upper.outlook.csv").write_text(f"issued_on,valid_on,rain_mm\n{line}")
    histories, left_out = training_histories(DAMS, source, LAST, OutlookFolder(tmp_path))
    assert left_out == {}
    table = histories["upper"].series.ahead[RAIN]
    assert {(row, lead): table[row, lead] for row, lead in np.argwhere(np.isfinite(table)).tolist()} == {
        (500, 1): 12.0,
        (501, 0): 12.0,
    }
    assert histories["lower"].series.ahead == {}


def test_what_was_issued_after_the_last_day_teaches_nothing(source: CsvFolderSource, tmp_path: Path) -> None:
    issued = LAST + timedelta(days=1)
    line = f"{issued},{issued + timedelta(days=1)},12\n"
    (tmp_path / "upper.outlook.csv").write_text(f"issued_on,valid_on,rain_mm\n{line}")
    histories, _ = training_histories(DAMS, source, LAST, OutlookFolder(tmp_path))
    assert histories["upper"].series.ahead == {}


def test_outlooks_that_cannot_be_read_cost_no_training(source: CsvFolderSource, tmp_path: Path) -> None:
    histories, left_out = training_histories(DAMS, source, LAST, OutlookFolder(tmp_path / "nowhere"))
    assert left_out == {}
    assert histories.keys() == {"upper", "lower"}
