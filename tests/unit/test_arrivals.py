"""New and corrected readings are noticed between the daily cycles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from warning.arrivals import Arrivals
from warning.domain.readings import FleetReadings
from warning.domain.reservoir import Reservoir
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.csv_folder import CsvFolderSource

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)


@pytest.fixture
def dam() -> Reservoir:
    return Reservoir(
        id="a",
        name="A",
        time_zone=ZoneInfo("UTC"),
        datum="",
        forecast_variable=Variable.LEVEL_M,
        limits={},
        level_thresholds=(),
    )


@pytest.fixture
def arrivals(dam: Reservoir, tmp_path: Path) -> Arrivals:
    (tmp_path / "a.csv").write_text("date,level_m\n2026-05-03,1.0\n2026-05-04,1.1\n")
    watcher = Arrivals(CsvFolderSource(tmp_path), (dam,))
    watcher.note(NOW)
    return watcher


def test_nothing_new_is_nothing_new(arrivals: Arrivals) -> None:
    assert not arrivals.any_new(NOW)


@pytest.mark.parametrize(
    "content",
    [
        "date,level_m\n2026-05-03,1.0\n2026-05-04,1.1\n2026-05-05,1.2\n",
        "date,level_m\n2026-05-03,1.0\n2026-05-04,9.9\n",
        "date,level_m\n2026-05-03,1.0\n",
        "not a reading",
    ],
    ids=["a new day", "a correction", "a day withdrawn", "a file that broke"],
)
def test_whatever_changed_in_the_source_is_noticed(arrivals: Arrivals, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert arrivals.any_new(NOW)


def test_readings_of_the_future_wait_for_their_day(arrivals: Arrivals, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,level_m\n2026-05-03,1.0\n2026-05-04,1.1\n2026-05-09,1.2\n")
    assert not arrivals.any_new(NOW)


def test_a_midnight_that_only_ages_old_readings_is_nothing_new(dam: Reservoir, tmp_path: Path) -> None:
    days = (date(2026, 2, 1) + timedelta(days=i) for i in range(90))
    (tmp_path / "a.csv").write_text("date,level_m\n" + "".join(f"{day},1.0\n" for day in days))
    arrivals = Arrivals(CsvFolderSource(tmp_path), (dam,))
    arrivals.note(NOW)
    assert not arrivals.any_new(NOW + timedelta(days=1))


class Unreadable:
    """A source that answers until it is cut off."""

    def __init__(self) -> None:
        self.cut_off = False

    def read(
        self, reservoir_ids: Sequence[str], last_day: date | None = None, first_day: date | None = None
    ) -> FleetReadings:
        if self.cut_off:
            raise SourceError("no connection")
        return FleetReadings({}, dict.fromkeys(reservoir_ids, "no readings"))


def test_a_source_that_breaks_off_is_news_once(dam: Reservoir) -> None:
    source = Unreadable()
    arrivals = Arrivals(source, (dam,))
    arrivals.note(NOW)
    source.cut_off = True
    assert arrivals.any_new(NOW)
    arrivals.note(NOW)
    assert not arrivals.any_new(NOW)
    source.cut_off = False
    assert arrivals.any_new(NOW)
