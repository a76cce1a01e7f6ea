"""What the demo writes is a folder of tidy readings as gauges report them."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest

from warning.demo.dams import DAMS
from warning.demo.files import FleetFolders, write_fleet
from warning.demo.simulation import TRUTH_DAYS, SimulatedFleet, simulate_fleet


@pytest.fixture(scope="module")
def fleet() -> SimulatedFleet:
    return simulate_fleet(3)


@pytest.fixture(scope="module")
def folders(fleet: SimulatedFleet, tmp_path_factory: pytest.TempPathFactory) -> FleetFolders:
    return write_fleet(fleet, tmp_path_factory.mktemp("world"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_readings_end_on_the_eve_and_the_truth_begins_the_day_after(
    fleet: SimulatedFleet, folders: FleetFolders
) -> None:
    for dam in DAMS:
        reported, truth = rows(folders.readings / f"{dam.id}.csv"), rows(folders.truth / f"{dam.id}.csv")
        assert date.fromisoformat(reported[-1]["date"]) == fleet.eve
        assert date.fromisoformat(truth[0]["date"]) == fleet.eve + timedelta(days=1)
        assert len(truth) == TRUTH_DAYS


def test_the_files_have_the_tidy_header(folders: FleetFolders) -> None:
    for path in (*folders.readings.iterdir(), *folders.truth.iterdir()):
        header = path.read_text(encoding="utf-8").splitlines()[0]
        assert header == "date,level_m,storage_m3,inflow_m3s,outflow_m3s,rain_mm"


def test_the_gauges_slip_as_real_ones_do(fleet: SimulatedFleet, folders: FleetFolders) -> None:
    reported = {dam.id: rows(folders.readings / f"{dam.id}.csv") for dam in DAMS}
    days = {dam_id: [row["date"] for row in table] for dam_id, table in reported.items()}
    assert (fleet.eve - timedelta(days=23)).isoformat() not in days["harrowbeck"]
    assert sum(row["level_m"] == "-9999" for row in reported["silver_fork"]) == 1
    assert sum(row["inflow_m3s"] == "" for row in reported["kalavati"]) == 1


def test_the_same_seed_gives_the_same_bytes(
    fleet: SimulatedFleet, folders: FleetFolders, tmp_path: Path
) -> None:
    again = write_fleet(simulate_fleet(fleet.seed), tmp_path)
    for dam in DAMS:
        name = f"{dam.id}.csv"
        assert (again.readings / name).read_bytes() == (folders.readings / name).read_bytes()
        assert (again.truth / name).read_bytes() == (folders.truth / name).read_bytes()
