"""The simulated world keeps physics, and its eve is the one that the demo promises."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from warning.demo.dams import DAMS, Dam
from warning.demo.simulation import (
    RECORD_YEARS,
    SECONDS_PER_DAY,
    TRUTH_DAYS,
    SimulatedDam,
    SimulatedFleet,
    simulate_fleet,
)
from warning.domain.variables import Variable

each_dam = pytest.mark.parametrize("dam", DAMS, ids=lambda dam: dam.id)


@pytest.fixture(scope="module", params=[1, 3, 7, 10])
def fleet(request: pytest.FixtureRequest) -> SimulatedFleet:
    return simulate_fleet(request.param)


def flooded(fleet: SimulatedFleet) -> SimulatedDam:
    return fleet[fleet.flood_dam_id]


def test_the_storage_balance_closes_to_the_last_digit(fleet: SimulatedFleet) -> None:
    for dam in fleet.dams:
        storage, inflow, outflow = (
            dam.values[v] for v in (Variable.STORAGE_M3, Variable.INFLOW_M3S, Variable.OUTFLOW_M3S)
        )
        left_over = np.diff(storage) - (inflow - outflow)[1:] * SECONDS_PER_DAY
        assert np.abs(left_over).max() < 0.05  # less than the last digit, a tenth of a m³


def test_every_value_is_finite_and_no_flow_rain_or_storage_is_negative(fleet: SimulatedFleet) -> None:
    for dam in fleet.dams:
        for variable, column in dam.values.items():
            assert np.isfinite(column).all()
            assert variable is Variable.LEVEL_M or (column >= 0).all()


def test_the_level_stays_between_the_bottom_and_the_crest_of_the_dam(fleet: SimulatedFleet) -> None:
    for simulated in fleet.dams:
        geometry, level = simulated.dam.geometry, simulated.values[Variable.LEVEL_M]
        assert level.min() > geometry.bottom_m
        assert level.max() < geometry.dam_crest_m


def test_level_and_storage_lie_on_the_dams_own_curve(fleet: SimulatedFleet) -> None:
    for simulated in fleet.dams:
        level = [simulated.dam.geometry.level_m(s) for s in simulated.values[Variable.STORAGE_M3]]
        assert simulated.values[Variable.LEVEL_M] == pytest.approx(level, abs=5.1e-4)


@each_dam
def test_the_storage_curve_rises_and_is_inverted_exactly(dam: Dam) -> None:
    levels = np.linspace(dam.geometry.bottom_m, dam.geometry.dam_crest_m, 200)
    storages = np.array([dam.geometry.storage_m3(level) for level in levels])
    assert (np.diff(storages) > 0).all()
    assert [dam.geometry.level_m(storage) for storage in storages] == pytest.approx(levels.tolist())


@each_dam
def test_thresholds_rise_between_full_supply_and_the_crest_of_the_dam(dam: Dam) -> None:
    levels = list(dam.threshold_levels_m.values())
    assert levels == sorted(set(levels))
    assert dam.geometry.full_supply_m < levels[0] - dam.clear_margin_m
    assert levels[-1] < dam.geometry.dam_crest_m
    assert list(dam.threshold_levels_m) == ["advisory", "watch", "warning", "emergency"]


def test_on_the_eve_it_has_rained_and_the_level_stands_below_every_threshold(fleet: SimulatedFleet) -> None:
    dam = flooded(fleet)
    eve = dam.row(fleet.eve)
    inflow = dam.values[Variable.INFLOW_M3S]
    assert dam.values[Variable.RAIN_MM][eve - 3 : eve + 1].sum() >= 80
    assert inflow[eve] > inflow[eve - 1] > inflow[eve - 2]
    assert dam.values[Variable.LEVEL_M][eve] < dam.dam.threshold_levels_m["advisory"]


def test_the_warning_level_is_first_reached_two_to_four_days_after_the_eve(fleet: SimulatedFleet) -> None:
    dam = flooded(fleet)
    after = dam.values[Variable.LEVEL_M][dam.row(fleet.eve) + 1 :]
    first = int(np.argmax(after >= dam.dam.threshold_levels_m["warning"])) + 1
    assert after[first - 1] >= dam.dam.threshold_levels_m["warning"]
    assert first in (2, 3, 4)
    assert fleet.crossing_day == fleet.eve + timedelta(days=first)


def test_the_record_holds_earlier_floods_to_learn_from(fleet: SimulatedFleet) -> None:
    dam = flooded(fleet)
    above = dam.values[Variable.LEVEL_M][: dam.row(fleet.eve)] >= dam.dam.threshold_levels_m["warning"]
    assert np.count_nonzero(above[1:] & ~above[:-1]) >= 2


def test_the_record_is_six_years_long_and_the_truth_goes_on_for_three_weeks(fleet: SimulatedFleet) -> None:
    for dam in fleet.dams:
        assert dam.row(fleet.eve) + 1 == round(365.25 * RECORD_YEARS)
        assert len(dam) == dam.row(fleet.eve) + 1 + TRUTH_DAYS


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = simulate_fleet(3), simulate_fleet(3), simulate_fleet(7)
    assert first.eve == again.eve
    for dam, dam_again in zip(first.dams, again.dams, strict=True):
        for variable in Variable:
            assert dam.values[variable].tobytes() == dam_again.values[variable].tobytes()
    assert first.eve != other.eve
