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
    fleet = OutlookFolder(folder).read(["oroville"], TODAY)
    assert fleet.troubles == ()
    if fleet.failures:
        raise SourceError(fleet.failures["oroville"])
    return fleet.outlooks["oroville"]


def findings(outlooks: Outlooks) -> list[tuple[FindingKind, str]]:
    bounds = {RELEASE: Bounds(0.0, 900.0)}
    return [(f.kind, f.message) for f in outlook_findings("oroville", outlooks, bounds, TODAY)]


def test_a_dam_without_a_file_has_no_outlooks(tmp_path: Path) -> None:
    read(tmp_path, f"{HEADER}2024-05-02,2024-05-03,4,\n")
    fleet = OutlookFolder(tmp_path).read(["oroville", "shasta"], TODAY)
    assert fleet.outlooks.keys() == {"oroville"}
    assert fleet.failures == {}


def test_a_file_that_cannot_be_read_costs_its_dam_alone(tmp_path: Path) -> None:
    read(tmp_path, f"{HEADER}2024-05-02,2024-05-03,4,\n")
    (tmp_path / "shasta.outlook.csv").mkdir()
    fleet = OutlookFolder(tmp_path).read(["oroville", "shasta"], TODAY)
    assert fleet.outlooks.keys() == {"oroville"}
    assert "shasta.outlook.csv: cannot be read" in fleet.failures["shasta"]


def test_a_folder_that_is_not_there_or_holds_nothing_of_any_dam_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no such folder; make it, or correct outlook_folder"):
        OutlookFolder(tmp_path / "outlook").read(["oroville"], TODAY)
    (tmp_path / "ORO.outlook.csv").write_text(HEADER)
    (trouble,) = OutlookFolder(tmp_path).read(["oroville"], TODAY).troubles
    assert "no dam has an outlook there" in trouble


def test_what_was_issued_later_does_not_come(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEADER}2024-05-02,2024-05-03,4,\n2024-05-03,2024-05-04,5,\n")
    np.testing.assert_array_equal(found.values[RAIN], [4])


def test_an_outlook_of_which_nothing_can_be_read_says_what_was_wrong_with_it(tmp_path: Path) -> None:
    (_, stale), (_, unreadable) = findings(read(tmp_path, f"{HEADER}02.05.2024,2024-05-03,4,\n"))
    assert "holds none issued so far" in stale
    assert "1 entry of the outlook could not be read: oroville.outlook.csv:2:" in unreadable


@pytest.mark.parametrize(
    "line", ["2024-05-02,2024-05-20,4,", "2024-05-02,2024-04-20,4,", "2024-05-02,2024-05-03,,"]
)
def test_an_outlook_of_today_that_says_nothing_of_the_days_ahead_is_told(line: str, tmp_path: Path) -> None:
    ((kind, text),) = findings(read(tmp_path, f"{HEADER}{line}\n"))
    assert kind is FindingKind.OUTLOOK_UNUSABLE
    assert "says nothing of the 7 days from 2024-05-02 on" in text


def test_rain_beyond_the_dams_own_limit_is_absurd(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEADER}2024-05-02,2024-05-03,610,\n")
    assert outlook_findings("oroville", found, {}, TODAY) == ()
    (finding,) = outlook_findings("oroville", found, {RAIN: Bounds(0.0, 600.0)}, TODAY)
    assert "610 mm for 2024-05-03" in finding.message


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
        "2024-W18-4,2024-05-03,1,",
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
