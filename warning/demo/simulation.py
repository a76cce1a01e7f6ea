"""A seeded world of three dams: weather, runoff, storage balance and gates, day by day.

Flows and rain of a row are the day's means and sums, level and storage stand at its end, so
storage(t) − storage(t−1) = (inflow(t) − outflow(t)) · 86400 s on every row. Flows are rounded
to 0.001 m³/s before they are balanced, which makes that exact in decimal digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from warning.demo.dams import DAMS, MONSOON, Catchment, Climate, Dam
from warning.domain.variables import FloatArray, IndexArray, Variable

SECONDS_PER_DAY = 86_400
RECORD_YEARS = 6
TRUTH_DAYS = 21  # how long the world goes on after the eve
_STEPS_PER_DAY = 12
_RATIONED_BELOW = 0.4  # of full storage; from there the demand is met in proportion, so no basin runs dry
_WORLD_START = date(2015, 1, 1)
_WORLD_DAYS = 365 * 11
_ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class SimulatedDam:
    """What truly happened at one dam; row i of each column is `first_day` + i days."""

    dam: Dam
    first_day: date
    values: Mapping[Variable, FloatArray]

    def row(self, day: date) -> int:
        return (day - self.first_day).days

    def __len__(self) -> int:
        return self.values[Variable.LEVEL_M].size


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """Three dams up to `TRUTH_DAYS` after `eve`, the last day that the demo is allowed to know.

    `flood_dam_id` names the dam about to flood; there the level first stands at or above the
    warning threshold on `crossing_day`, two to four days after the eve.
    """

    seed: int
    eve: date
    flood_dam_id: str
    crossing_day: date
    dams: tuple[SimulatedDam, ...]

    def __getitem__(self, dam_id: str) -> SimulatedDam:
        return next(dam for dam in self.dams if dam.dam.id == dam_id)


def simulate_fleet(seed: int = 7) -> SimulatedFleet:
    """Return the world of `seed`, with about six years of record before the eve of a flood.

    The flood is found, not staged: the monsoon dam's weather is drawn anew until a season holds
    one that follows from rain already fallen. Raises RuntimeError if no draw does.
    """
    for attempt in range(_ATTEMPTS):
        flooded = _simulate(MONSOON, np.random.default_rng([seed, 0, attempt]))
        found = _find_eve(MONSOON, flooded)
        if found is not None:
            break
    else:
        raise RuntimeError(f"no flood fit for the demo in {_ATTEMPTS} draws of seed {seed}; use another seed")
    eve_row, crossing_row = found
    first_row, last_row = eve_row - round(365.25 * RECORD_YEARS) + 1, eve_row + TRUTH_DAYS
    first_day = _WORLD_START + timedelta(days=first_row)
    worlds = {
        dam.id: flooded if dam is MONSOON else _simulate(dam, np.random.default_rng([seed, number]))
        for number, dam in enumerate(DAMS, start=1)
    }
    dams = tuple(
        SimulatedDam(
            dam, first_day, {v: column[first_row : last_row + 1] for v, column in worlds[dam.id].items()}
        )
        for dam in DAMS
    )
    return SimulatedFleet(
        seed=seed,
        eve=_WORLD_START + timedelta(days=eve_row),
        flood_dam_id=MONSOON.id,
        crossing_day=_WORLD_START + timedelta(days=crossing_row),
        dams=dams,
    )


def _simulate(dam: Dam, rng: np.random.Generator) -> dict[Variable, FloatArray]:
    """Run one dam over the whole world's days."""
    days_of_year = np.array(
        [(_WORLD_START + timedelta(days=i)).timetuple().tm_yday for i in range(_WORLD_DAYS)]
    )
    rain_mm = _rain(dam.climate, days_of_year, rng).round(1)
    water_mm = _after_snow(dam, rain_mm, _temperature(dam.climate, days_of_year, rng))
    inflow_m3s = _runoff(dam.catchment, water_mm).round(3)
    outflow_m3s, storage_m3 = _balance(dam, inflow_m3s, days_of_year)
    level_m = np.array([dam.geometry.level_m(storage) for storage in storage_m3]).round(3)
    return {
        Variable.LEVEL_M: level_m,
        Variable.STORAGE_M3: storage_m3,
        Variable.INFLOW_M3S: inflow_m3s,
        Variable.OUTFLOW_M3S: outflow_m3s,
        Variable.RAIN_MM: rain_mm,
    }


def _rain(climate: Climate, days_of_year: IndexArray, rng: np.random.Generator) -> FloatArray:
    """Draw daily rain: a first-order wet/dry chain with gamma amounts, and storms over it."""
    season = np.array([climate.season(day) for day in days_of_year])
    chance = {
        False: np.interp(season, (0, 1), climate.wet_after_dry),
        True: np.interp(season, (0, 1), climate.wet_after_wet),
    }
    shape = 0.8
    draws, amounts = rng.random(season.size), rng.gamma(shape, 1 / shape, season.size)
    rain = np.zeros(season.size)
    wet = False
    for day in range(season.size):
        wet = bool(draws[day] < chance[wet][day])
        if wet:
            rain[day] = amounts[day] * np.interp(season[day], (0, 1), climate.amount_mm)
    season_days_per_year = season.mean() * 365.25
    arrivals = rng.random(season.size) < season * climate.storms_per_year / season_days_per_year
    for day in np.flatnonzero(arrivals).tolist():
        rain_of_storm = _storm(climate, rng)
        end = min(day + rain_of_storm.size, rain.size)
        rain[day:end] += rain_of_storm[: end - day]
    return rain


def _storm(climate: Climate, rng: np.random.Generator) -> FloatArray:
    """Draw one storm: small ones are common, and the rain swells and fades over its days."""
    low, high = climate.storm_mm
    days = int(rng.integers(climate.storm_days[0], climate.storm_days[1] + 1))
    depth_mm = low + (high - low) * rng.random() ** 2
    swell = np.sin(np.pi * (np.arange(days) + 0.5) / days) * rng.uniform(0.7, 1.3, days)
    return np.asarray(depth_mm * swell / swell.sum(), dtype=np.float64)


def _temperature(climate: Climate, days_of_year: IndexArray, rng: np.random.Generator) -> FloatArray:
    """Draw daily temperatures: a yearly wave, coldest on 20 January, with spells of some days."""
    cold, warm = climate.temperature_c
    wave = (cold + warm) / 2 - (warm - cold) / 2 * np.cos(2 * np.pi * (days_of_year - 20) / 365.25)
    noise = rng.normal(0.0, 1.8, days_of_year.size)
    spell = 0.0
    for day in range(noise.size):
        spell = 0.75 * spell + noise[day]
        noise[day] = spell
    return np.asarray(wave + noise, dtype=np.float64)


def _after_snow(dam: Dam, rain_mm: FloatArray, temperature_c: FloatArray) -> FloatArray:
    """Return the water that reaches the ground: frost keeps it as snow, degree days melt it."""
    melt_rate = dam.catchment.melt_mm_per_degree_day
    if melt_rate == 0:
        return rain_mm
    water = np.zeros_like(rain_mm)
    snow_mm = 0.0
    for day, (precipitation, warmth) in enumerate(zip(rain_mm, temperature_c, strict=True)):
        frozen = precipitation if warmth <= 0 else 0.0
        melt = min(snow_mm + frozen, melt_rate * max(warmth, 0.0))
        snow_mm += frozen - melt
        water[day] = precipitation - frozen + melt
    return water


def _runoff(catchment: Catchment, water_mm: FloatArray) -> FloatArray:
    """Turn water on the ground into the dam's inflow, m³/s: wetness decides how much, stores how late."""
    quick = np.zeros(catchment.quick_stores)
    quick_leaves, slow_leaves = 1 - np.exp(-1 / catchment.quick_days), 1 - np.exp(-1 / catchment.slow_days)
    dry_share, soaked_share = catchment.runoff_share
    slow = wetness = 0.0
    flow_mm = np.zeros_like(water_mm)
    for day, water in enumerate(water_mm):
        wetness = 0.93 * wetness + water
        share = dry_share + (soaked_share - dry_share) * wetness / (wetness + catchment.half_wet_mm)
        arriving = catchment.quick_share * share * water
        for store in range(quick.size):
            quick[store] += arriving
            arriving = quick_leaves * quick[store]
            quick[store] -= arriving
        slow += (1 - catchment.quick_share) * share * water
        leaving = slow_leaves * slow
        slow -= leaving
        flow_mm[day] = arriving + leaving
    return np.asarray(flow_mm * catchment.area_km2 * 1e3 / SECONDS_PER_DAY, dtype=np.float64)


def _balance(dam: Dam, inflow_m3s: FloatArray, days_of_year: IndexArray) -> tuple[FloatArray, FloatArray]:
    """Return daily outflow and end-of-day storage; the balance closes to the rounded digit."""
    outflow, storage = np.zeros_like(inflow_m3s), np.zeros_like(inflow_m3s)
    step_s = SECONDS_PER_DAY / _STEPS_PER_DAY
    stored = round(dam.geometry.storage_m3(dam.outlets.rule_m(int(days_of_year[0]))), 1)
    for day, inflow in enumerate(inflow_m3s.tolist()):
        rule_m = dam.outlets.rule_m(int(days_of_year[day]))
        within, released = stored, 0.0
        for _ in range(_STEPS_PER_DAY):
            passed = _release(dam, within, rule_m)
            within += (inflow - passed) * step_s
            released += passed
        outflow[day] = round(released / _STEPS_PER_DAY, 3)
        stored = round(stored + (inflow - outflow[day]) * SECONDS_PER_DAY, 1)
        storage[day] = stored
    return outflow, storage


def _release(dam: Dam, stored_m3: float, rule_m: float) -> float:
    """Return the outlets' discharge, m³/s: demand, gates above the rule curve, weir above its crest."""
    outlets, geometry = dam.outlets, dam.geometry
    level_m = geometry.level_m(stored_m3)
    rationing = min(stored_m3 / (_RATIONED_BELOW * geometry.full_storage_m3), 1.0)
    opening = min(max((level_m - rule_m) / outlets.gates_open_over_m, 0.0), 1.0)
    head_m = max(level_m - geometry.spillway_crest_m, 0.0)
    return (
        rationing * outlets.demand_m3s + opening * outlets.gates_m3s + float(outlets.weir_m3s * head_m**1.5)
    )


def _find_eve(dam: Dam, values: dict[Variable, FloatArray]) -> tuple[int, int] | None:
    """Return (eve, crossing) of the highest major flood that can be foreseen from rain already fallen.

    Major means that it goes a quarter of the way from warning to emergency. Before it the record must
    hold six years with at least two other crossings to learn from.
    """
    thresholds = dam.threshold_levels_m
    level = values[Variable.LEVEL_M]
    above = level >= thresholds["warning"]
    least_peak = 0.75 * thresholds["warning"] + 0.25 * thresholds["emergency"]
    crossings = np.flatnonzero(above[1:] & ~above[:-1]) + 1
    earliest_eve = round(365.25 * (RECORD_YEARS + 1))
    best: tuple[float, int, int] | None = None
    for crossing in crossings.tolist():
        learnt = np.count_nonzero((crossings < crossing - 20) & (crossings >= crossing - 365 * RECORD_YEARS))
        if learnt < 2 or crossing + TRUTH_DAYS >= level.size:
            continue
        for eve in (crossing - 3, crossing - 2, crossing - 4):
            if eve >= earliest_eve and _foreseeable(values, eve, crossing, thresholds):
                peak = float(level[crossing : crossing + 7].max())
                if peak >= least_peak and (best is None or peak > best[0]):
                    best = (peak, eve, crossing)
                break
    return None if best is None else best[1:]


def _foreseeable(
    values: dict[Variable, FloatArray], eve: int, crossing: int, thresholds: dict[str, float]
) -> bool:
    """Say whether the crossing ends a calm and follows from rain already fallen and a rising inflow."""
    level, inflow, rain = (values[v] for v in (Variable.LEVEL_M, Variable.INFLOW_M3S, Variable.RAIN_MM))
    fallen, to_fall = rain[eve - 3 : eve + 1].sum(), rain[eve + 1 : crossing + 1].sum()
    return bool(
        (level[eve - 20 : eve + 1] < thresholds["advisory"]).all()
        and (np.diff(inflow[eve - 2 : eve + 1]) > 0).all()
        and inflow[eve] >= 2 * inflow[eve - 6 : eve - 2].mean()
        and fallen >= 80
        and to_fall <= 0.6 * fallen
    )
