"""The folder of tidy CSV files: what is read, what is complained about, what fails whom."""

from __future__ import annotations

import errno
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.tidy_csv import read_tidy

LEVEL, INFLOW, RAIN = Variable.LEVEL_M, Variable.INFLOW_M3S, Variable.RAIN_MM


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alto.csv").write_text("date,level_m,rain_mm\n2024-01-01,10.5,0\n2024-01-02,,3.2\n")
    return tmp_path


def test_a_file_is_read_with_missing_cells_as_nan(folder: Path) -> None:
    raw = CsvFolderSource(folder).read(["alto"]).readings["alto"]
    np.testing.assert_array_equal(raw.days, np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"))
    np.testing.assert_array_equal(raw.values[LEVEL], [10.5, np.nan])
    np.testing.assert_array_equal(raw.values[RAIN], [0.0, 3.2])
    assert raw.complaints == ()


def test_the_days_asked_for_are_given_and_no_others(folder: Path) -> None:
    source = CsvFolderSource(folder)
    one = source.read(["alto"], last_day=date(2024, 1, 1)).readings["alto"]
    other = source.read(["alto"], first_day=date(2024, 1, 2)).readings["alto"]
    assert one.days.tolist() == [date(2024, 1, 1)]
    assert other.days.tolist() == [date(2024, 1, 2)]


def test_marks_quotes_blanks_windows_lines_and_column_order_do_no_harm(tmp_path: Path) -> None:
    text = '\ufeff"rain_mm", date ,level_m\r\n"1.5","2024-01-01", 10 \r\n\r\n'
    (tmp_path / "alto.csv").write_bytes(text.encode())
    raw = CsvFolderSource(tmp_path).read(["alto"]).readings["alto"]
    assert raw.values[RAIN].tolist() == [1.5]
    assert raw.values[LEVEL].tolist() == [10.0]


@pytest.mark.parametrize("cell", ["n/a", "nan", "inf", "-Infinity", "1e999", "1_000", "1.2.3", "0x10", "--"])
def test_a_cell_that_is_no_finite_number_is_missing_and_complained_about(tmp_path: Path, cell: str) -> None:
    (tmp_path / "alto.csv").write_text(f"date,level_m,inflow_m3s\n2024-01-01,10,1\n2024-01-02,{cell},2\n")
    raw = CsvFolderSource(tmp_path).read(["alto"]).readings["alto"]
    np.testing.assert_array_equal(raw.values[LEVEL], [10.0, np.nan])
    assert raw.values[INFLOW].tolist() == [1.0, 2.0]
    (complaint,) = raw.complaints
    assert complaint == f"alto.csv:3: level_m: {cell!r} is not a finite number"


@pytest.mark.parametrize(
    "line", ["2024-02-30,1", "0224-01-01,1", "20240101,1", "01.02.2024,1", ",1", "2024-01-01,1,2", "x"]
)
def test_a_line_without_a_day_or_with_other_fields_is_left_out_and_complained_about(
    tmp_path: Path, line: str
) -> None:
    (tmp_path / "alto.csv").write_text(f"date,level_m\n{line}\n2024-01-02,5\n")
    raw = CsvFolderSource(tmp_path).read(["alto"]).readings["alto"]
    assert raw.values[LEVEL].tolist() == [5.0]
    assert len(raw.complaints) == 1
    assert raw.complaints[0].startswith("alto.csv:2: ")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "no column 'date'"),
        ("day,level_m", "no column 'date'"),
        ("date,level", "unknown columns 'level'"),
        ("date,level_m,level_m", "level_m more than once"),
        ("date;level_m", "no column 'date'"),
        ("date", "names no variable"),
    ],
)
def test_another_header_fails_the_file_and_says_what_is_expected(
    tmp_path: Path, header: str, expected: str
) -> None:
    (tmp_path / "alto.csv").write_text(f"{header}\n2024-01-01,1\n")
    failure = CsvFolderSource(tmp_path).read(["alto"]).failures["alto"]
    assert expected in failure
    assert "alto.csv" in failure
    assert "level_m, storage_m3" in failure


def test_one_dams_trouble_is_not_anothers(folder: Path) -> None:
    (folder / "basso.csv").write_text("nonsense\n")
    (folder / "folder.csv").mkdir()
    fleet = CsvFolderSource(folder).read(["alto", "basso", "missing", "folder", "../alto"])
    assert set(fleet.readings) == {"alto"}
    assert set(fleet.failures) == {"basso", "missing", "folder", "../alto"}
    assert "dam-warning import missing" in fleet.failures["missing"]


def test_bytes_that_are_no_text_cost_their_cell_only(tmp_path: Path) -> None:
    (tmp_path / "alto.csv").write_bytes(b"date,level_m\n2024-01-01,\xff\xfe\n2024-01-02,7\n")
    raw = CsvFolderSource(tmp_path).read(["alto"]).readings["alto"]
    np.testing.assert_array_equal(raw.values[LEVEL], [np.nan, 7.0])
    assert len(raw.complaints) == 1


def test_ids_are_the_files_without_what_was_rejected(folder: Path) -> None:
    (folder / "alto.rejected.csv").write_text("file,line,reason,text\n")
    (folder / "basso.csv").write_text("date,level_m\n")
    (folder / "README.md").write_text("no record")
    assert CsvFolderSource(folder).reservoir_ids() == ("alto", "basso")
    with pytest.raises(SourceError, match="no such folder"):
        CsvFolderSource(folder / "nowhere").reservoir_ids()


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    values = random.normal(1e9, 1e8, 50) * np.where(random.random(50) < 0.2, np.nan, 1.0)
    days = np.datetime64("2024-01-01") + random.permutation(50)
    days[7] = days[8]
    source = CsvFolderSource(tmp_path / "new")
    source.write("alto", RawReadings(days, {LEVEL: values / 3, RAIN: np.floor(values)}))
    back = source.read(["alto"]).readings["alto"]
    order = np.argsort(days, kind="stable")
    np.testing.assert_array_equal(back.days, days[order])
    np.testing.assert_array_equal(back.values[LEVEL], (values / 3)[order])
    np.testing.assert_array_equal(back.values[RAIN], np.floor(values)[order])


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "alto.csv").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    days = np.array(["2024-01-01"], "datetime64[D]")
    with pytest.raises(SourceError, match=r"alto\.csv: cannot be written: No space left"):
        CsvFolderSource(folder).write("alto", RawReadings(days, {LEVEL: np.array([1.0])}))
    assert (folder / "alto.csv").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["alto.csv"]


def test_the_twenty_real_records_load_as_they_are(reservoir_records: Path) -> None:
    source = CsvFolderSource(reservoir_records)
    ids = source.reservoir_ids()
    fleet = source.read(ids)
    assert len(ids) == 20
    assert not fleet.failures
    for reservoir_id, raw in fleet.readings.items():
        assert raw.complaints == ()
        assert raw.days.size == len(read_tidy(source.path(reservoir_id)).rows) > 1000
