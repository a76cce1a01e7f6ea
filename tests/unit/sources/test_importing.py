"""Importing: every line of the file ends up somewhere, and doing it twice changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.importing import ImportReport, import_csv

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM


@pytest.fixture
def source(tmp_path: Path) -> CsvFolderSource:
    return CsvFolderSource(tmp_path / "record")


def bring(source: CsvFolderSource, text: str, name: str = "new.csv") -> ImportReport:
    file = source.folder.parent / name
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return import_csv(file, "alto", source)


def record(source: CsvFolderSource) -> str:
    return source.path("alto").read_text()


def test_rows_in_any_order_are_sorted_by_day(source: CsvFolderSource) -> None:
    report = bring(source, "date,level_m\n2024-01-03,3\n2024-01-01,1\n2024-01-02,2\n")
    assert record(source) == "date,level_m\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n"
    assert report.unordered
    assert (report.lines, report.added, report.complete) == (3, 3, True)


def test_identical_duplicates_are_dropped_and_counted(source: CsvFolderSource) -> None:
    report = bring(source, "date,level_m\n2024-01-01,1\n2024-01-01,1.0\n")
    assert record(source) == "date,level_m\n2024-01-01,1\n"
    assert (report.added, report.identical, report.disagreeing) == (1, 1, 0)


def test_disagreeing_duplicates_are_both_kept_in_order_and_reported_by_line(source: CsvFolderSource) -> None:
    report = bring(source, "date,level_m\n2024-01-01,1\n2024-01-01,9\n")
    assert record(source) == "date,level_m\n2024-01-01,1\n2024-01-01,9\n"
    assert report.disagreeing == 1
    assert report.messages == (
        "line 3: 2024-01-01 disagrees with line 2: level_m 9.0 against 1.0; both are kept",
    )


def test_a_day_already_in_the_record_with_other_values_is_kept_beside_it(source: CsvFolderSource) -> None:
    bring(source, "date,level_m\n2024-01-01,1\n")
    report = bring(source, "date,level_m\n2024-01-01,2\n", "correction.csv")
    assert record(source) == "date,level_m\n2024-01-01,1\n2024-01-01,2\n"
    assert "disagrees with the record" in report.messages[0]


def test_another_column_completes_the_days_that_are_there(source: CsvFolderSource) -> None:
    bring(source, "date,level_m\n2024-01-01,1\n2024-01-02,2\n")
    report = bring(source, "date,rain_mm\n2024-01-02,7\n2024-01-03,8\n", "rain.csv")
    assert record(source) == "date,level_m,rain_mm\n2024-01-01,1,\n2024-01-02,2,7\n2024-01-03,,8\n"
    assert (report.completed, report.added) == (1, 1)


def test_what_cannot_be_read_is_reported_by_line_and_kept_as_it_stood(source: CsvFolderSource) -> None:
    text = 'date,level_m,rain_mm\n2024-01-01,1,0\n2024-01-02,abc,5\nnonsense\n31.12.2023,1,"2"\n'
    report = bring(source, text)
    assert record(source) == "date,level_m,rain_mm\n2024-01-01,1,0\n2024-01-02,,5\n"
    assert (report.lines, report.rejected, report.complete) == (4, 3, False)
    assert [message.split(":")[0] for message in report.messages] == ["line 3", "line 4", "line 5"]
    assert report.rejected_file is not None
    kept = report.rejected_file.read_text().splitlines()
    assert kept[0] == "file,line,reason,text"
    assert kept[1].startswith("new.csv,3,")
    assert kept[1].endswith('"2024-01-02,abc,5"')
    assert kept[2].endswith('"nonsense"')
    assert kept[3].endswith('"31.12.2023,1,""2"""')


def test_importing_again_changes_nothing(source: CsvFolderSource) -> None:
    text = "date,level_m\n2024-01-02,2\n2024-01-01,1\n2024-01-01,9\nbad\n2024-01-03,x\n\udcff,4\n"
    bring(source, text)
    before = {path.name: path.read_bytes() for path in source.folder.iterdir()}
    again = bring(source, text)
    assert {path.name: path.read_bytes() for path in source.folder.iterdir()} == before
    assert (again.added, again.completed, again.disagreeing) == (0, 0, 0)


def test_unreadable_lines_already_in_the_record_are_not_lost_by_its_rewriting(
    source: CsvFolderSource,
) -> None:
    source.folder.mkdir()
    source.path("alto").write_text("date,level_m\n2024-01-01,1\nscribble\n")
    bring(source, "date,level_m\n2024-01-02,2\n")
    assert "scribble" not in record(source)
    assert "scribble" in source.rejected_path("alto").read_text()


def test_a_file_that_cannot_be_understood_leaves_the_record_alone(source: CsvFolderSource) -> None:
    bring(source, "date,level_m\n2024-01-01,1\n")
    with pytest.raises(SourceError, match="unknown columns 'depth'"):
        bring(source, "date,depth\n2024-01-01,5\n")
    assert record(source) == "date,level_m\n2024-01-01,1\n"


def test_a_record_that_cannot_be_understood_is_not_overwritten(source: CsvFolderSource) -> None:
    source.folder.mkdir()
    source.path("alto").write_text("something else\n")
    with pytest.raises(SourceError, match="header"):
        bring(source, "date,level_m\n2024-01-01,1\n")
    assert record(source) == "something else\n"


def test_the_report_reads_as_sentences_and_does_not_run_away(source: CsvFolderSource) -> None:
    lines = "".join(f"2024-01-01,{value}\n" for value in range(40))
    text = bring(source, f"date,level_m\n{lines}").text()
    assert text.startswith("alto: 40 lines of ")
    assert "39 disagree" in text
    assert "and 19 more lines like these" in text


@pytest.mark.parametrize("name", ["in_krs", "mx_valle_de_bravo"])
def test_a_real_record_with_repeated_days_is_imported_whole(
    source: CsvFolderSource, reservoir_records: Path, name: str
) -> None:
    file = reservoir_records / f"{name}.csv"
    report = import_csv(file, name, source)
    assert report.lines == report.added + report.identical + report.completed
    assert import_csv(file, name, source).added == 0
    old = CsvFolderSource(reservoir_records).read([name]).readings[name]
    new = source.read([name]).readings[name]
    for variable in old.values:
        np.testing.assert_array_equal(np.unique(new.values[variable]), np.unique(old.values[variable]))
