"""Outlooks in files: what can be read is used, what cannot is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from warning.domain.ahead import Outlooks, outlook_findings
from warning.domain.findings import FindingKind
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.outlook_folder import OutlookFolder

RAIN, RELEASE = Variable.RAIN_MM, Variable.OUTFLOW_M3S
TODAY = date(2024, 5, 2)
HEADER = "issued_on,valid_on,rain_mm,outflow_m3s\n"


def read(folder: Path, text: str) -> Outlooks:
    (folder / "oroville.outlook.csv").write_text(text)
    found = OutlookFolder(folder).read("oroville")
    assert found is not None
    return found


def findings(outlooks: Outlooks) -> list[tuple[FindingKind, str]]:
    bounds = {RELEASE: Bounds(0.0, 900.0)}
    return [(f.kind, f.message) for f in outlook_findings("oroville", outlooks, bounds, TODAY)]


def test_a_dam_without_a_file_has_no_outlooks(tmp_path: Path) -> None:
    assert OutlookFolder(tmp_path).read("oroville") is None


def test_lines_become_columns_and_empty_cells_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + "2024-05-02,2024-05-03,12.5,\n2024-05-02,2024-05-04,,80\n")
    assert found.valid.tolist() == [date(2024, 5, 3), date(2024, 5, 4)]
    np.testing.assert_array_equal(found.values[RAIN], [12.5, np.nan])
    np.testing.assert_array_equal(found.values[RELEASE], [np.nan, 80])
    assert findings(found) == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "issued_on,valid_on",
        "valid_on,rain_mm",
        "issued_on,valid_on,rain_mm,rain_mm",
        "issued_on,valid_on,rain",
    ],
)
def test_a_header_that_cannot_be_understood_is_refused_with_what_was_expected(
    header: str, tmp_path: Path
) -> None:
    with pytest.raises(
        SourceError, match=r"oroville\.outlook\.csv: the header is .* expected issued_on,valid_on"
    ):
        read(tmp_path, header + "\n2024-05-02,2024-05-03,1\n")


@pytest.mark.parametrize(
    "line",
    [
        "2024-05-02,tomorrow,1,",
        "20240502,2024-05-03,1,",
        "2024-05-02,2024-05-03,wet,",
        "2024-05-02,2024-05-03,inf,",
        "2024-05-02,2024-05-03",
    ],
)
def test_a_line_that_cannot_be_read_costs_itself_and_is_told(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEADER}{line}\n2024-05-02,2024-05-03,4,\n")
    np.testing.assert_array_equal(found.values[RAIN], [4])
    ((kind, text),) = findings(found)
    assert kind is FindingKind.OUTLOOK_UNUSABLE
    assert "oroville.outlook.csv:2:" in text


@pytest.mark.parametrize(
    ("issued", "stale"), [("2024-05-02", False), ("2024-05-01", False), ("2024-04-30", True)]
)
def test_an_outlook_of_yesterday_still_counts_and_an_older_one_is_told(
    issued: str, stale: bool, tmp_path: Path
) -> None:
    found = findings(read(tmp_path, f"{HEADER}{issued},2024-05-04,4,\n2024-05-09,2024-05-10,1,\n"))
    assert [kind for kind, _ in found] == [FindingKind.OUTLOOK_STALE] * stale
    assert all("was issued on 2024-04-30" in text for _, text in found)


def test_an_absurd_value_is_named_with_its_day(tmp_path: Path) -> None:
    lines = "2024-05-02,2024-05-03,-4,\n2024-05-02,2024-05-04,9000,70\n2024-05-02,2024-05-05,3,901\n"
    (_, rain), (_, release) = findings(read(tmp_path, HEADER + lines))
    assert "-4 mm for 2024-05-03, 9000 mm for 2024-05-04" in rain
    assert "901 m³/s for 2024-05-05" in release


def test_outlooks_beside_the_readings_are_no_dam(tmp_path: Path) -> None:
    (tmp_path / "oroville.csv").write_text("date,level_m\n2024-05-01,270\n")
    read(tmp_path, HEADER)
    assert CsvFolderSource(tmp_path).reservoir_ids() == ("oroville",)
