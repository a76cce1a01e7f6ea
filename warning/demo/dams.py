"""Three invented dams of different character: climate, catchment, basin, outlets, geometry.

None of them exists; sizes, slopes and rainfall are of the order found at real dams of their kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Climate:
    """A wet/dry Markov chain with gamma amounts, and storms of several days on top of it.

    `wet_after_dry`, `wet_after_wet` and `amount_mm` (mean of a wet day) are (lowest, highest)
    over the year; the season peaks on day of the year `peak_day`, the sharper the larger
    `sharpness`. Storms arrive within the season, `storms_per_year` on average.
    """

    peak_day: int
    sharpness: float
    wet_after_dry: tuple[float, float]
    wet_after_wet: tuple[float, float]
    amount_mm: tuple[float, float]
    storms_per_year: float
    storm_mm: tuple[float, float]  # least and greatest depth of a storm
    storm_days: tuple[int, int]
    temperature_c: tuple[float, float]  # mean of the coldest and of the warmest day

    def season(self, day_of_year: int) -> float:
        """Return the season's strength, 0..1."""
        return math.exp(self.sharpness * (math.cos(2 * math.pi * (day_of_year - self.peak_day) / 365.25) - 1))


@dataclass(frozen=True, slots=True)
class Catchment:
    """Rain to runoff: a wetness-dependent share runs off, by a quick and a slow way.

    `quick_days` and `quick_stores` give the quick way's delay (a cascade of equal linear
    stores, the discrete form of Nash's unit hydrograph), `slow_days` the slow store's.
    """

    area_km2: float
    runoff_share: tuple[float, float]  # dry and soaked
    half_wet_mm: float  # antecedent rain at which the share is halfway
    quick_share: float
    quick_days: float
    quick_stores: int
    slow_days: float
    melt_mm_per_degree_day: float = 0.0  # 0: no snow is kept


@dataclass(frozen=True, slots=True)
class Geometry:
    """Levels in metres above the dam's datum, and the basin: storage = full · (depth / full depth)^shape."""

    bottom_m: float
    full_supply_m: float
    spillway_crest_m: float
    design_flood_m: float
    dam_crest_m: float
    full_storage_m3: float  # at full supply
    shape: float

    def storage_m3(self, level_m: float) -> float:
        """Return the storage at `level_m`; strictly rising from 0 at the bottom."""
        depth = max(level_m - self.bottom_m, 0.0) / (self.full_supply_m - self.bottom_m)
        return float(self.full_storage_m3 * depth**self.shape)

    def level_m(self, storage_m3: float) -> float:
        """Return the level at `storage_m3`, the inverse of `storage_m3`."""
        filled = max(storage_m3, 0.0) / self.full_storage_m3
        return float(self.bottom_m + (self.full_supply_m - self.bottom_m) * filled ** (1 / self.shape))


@dataclass(frozen=True, slots=True)
class Outlets:
    """The gate rule: a demand, gates that open above the rule curve, a free weir above the spillway crest.

    The rule curve runs between `rule_low_m` (deepest around day `rule_low_day`, to make room
    for the wet season) and `rule_high_m`; `gates_m3s` is the gates' limit, reached
    `gates_open_over_m` above the curve.
    """

    demand_m3s: float
    rule_low_m: float
    rule_high_m: float
    rule_low_day: int
    gates_m3s: float
    gates_open_over_m: float
    weir_m3s: float  # discharge of the weir under one metre of head

    def rule_m(self, day_of_year: int) -> float:
        """Return the rule curve's level on a day of the year."""
        high = (1 - math.cos(2 * math.pi * (day_of_year - self.rule_low_day) / 365.25)) / 2
        return self.rule_low_m + (self.rule_high_m - self.rule_low_m) * high


@dataclass(frozen=True, slots=True, kw_only=True)
class Dam:
    """One invented dam."""

    id: str
    name: str
    time_zone: ZoneInfo
    datum: str
    climate: Climate
    catchment: Catchment
    geometry: Geometry
    outlets: Outlets

    @property
    def threshold_levels_m(self) -> dict[str, float]:
        """The four flood levels, lowest first, by default severity name; all follow from the geometry.

        Advisory lies halfway from full supply to the spillway crest, watch at that crest, emergency
        at the design flood's level and warning halfway between those two.
        """
        g = self.geometry
        levels = {
            "advisory": (g.full_supply_m + g.spillway_crest_m) / 2,
            "watch": g.spillway_crest_m,
            "warning": (g.spillway_crest_m + g.design_flood_m) / 2,
            "emergency": g.design_flood_m,
        }
        return {name: round(level, 2) for name, level in levels.items()}

    @property
    def clear_margin_m(self) -> float:
        """How far below a threshold the level must fall before it counts as left."""
        return round(0.08 * (self.geometry.design_flood_m - self.geometry.full_supply_m), 2)


FLOOD_DETENTION = Dam(
    id="harrowbeck",
    name="Harrowbeck flood dam",
    time_zone=ZoneInfo("Europe/Vienna"),
    datum="the Adriatic",
    climate=Climate(
        peak_day=190,
        sharpness=0.5,
        wet_after_dry=(0.2, 0.32),
        wet_after_wet=(0.5, 0.62),
        amount_mm=(4, 8),
        storms_per_year=5,
        storm_mm=(35, 190),
        storm_days=(2, 4),
        temperature_c=(1, 19),
    ),
    catchment=Catchment(
        area_km2=70,
        runoff_share=(0.08, 0.8),
        half_wet_mm=70,
        quick_share=0.75,
        quick_days=0.6,
        quick_stores=2,
        slow_days=25,
    ),
    geometry=Geometry(
        bottom_m=402.0,
        full_supply_m=410.0,
        spillway_crest_m=418.0,
        design_flood_m=420.5,
        dam_crest_m=422.5,
        full_storage_m3=0.9e6,
        shape=2.2,
    ),
    outlets=Outlets(
        demand_m3s=0.4,
        rule_low_m=410.0,
        rule_high_m=410.0,
        rule_low_day=1,
        gates_m3s=7.0,
        gates_open_over_m=1.0,
        weir_m3s=13.0,
    ),
)

SNOW_FED = Dam(
    id="silver_fork",
    name="Silver Fork dam",
    time_zone=ZoneInfo("America/Denver"),
    datum="NAVD 88",
    climate=Climate(
        peak_day=20,
        sharpness=0.6,
        wet_after_dry=(0.12, 0.3),
        wet_after_wet=(0.4, 0.62),
        amount_mm=(3, 7),
        storms_per_year=3,
        storm_mm=(25, 80),
        storm_days=(2, 5),
        temperature_c=(-11, 18),
    ),
    catchment=Catchment(
        area_km2=6200,
        runoff_share=(0.3, 0.75),
        half_wet_mm=90,
        quick_share=0.45,
        quick_days=1.5,
        quick_stores=3,
        slow_days=45,
        melt_mm_per_degree_day=2.2,
    ),
    geometry=Geometry(
        bottom_m=1905.0,
        full_supply_m=2010.0,
        spillway_crest_m=2013.0,
        design_flood_m=2016.0,
        dam_crest_m=2019.0,
        full_storage_m3=3.1e9,
        shape=2.4,
    ),
    outlets=Outlets(
        demand_m3s=55.0,
        rule_low_m=2000.0,
        rule_high_m=2010.0,
        rule_low_day=75,
        gates_m3s=300.0,
        gates_open_over_m=4.0,
        weir_m3s=220.0,
    ),
)

MONSOON = Dam(
    id="kalavati",
    name="Kalavati dam",
    time_zone=ZoneInfo("Asia/Kolkata"),
    datum="mean sea level",
    climate=Climate(
        peak_day=212,
        sharpness=3.2,
        wet_after_dry=(0.03, 0.55),
        wet_after_wet=(0.25, 0.84),
        amount_mm=(3, 18),
        storms_per_year=5,
        storm_mm=(100, 460),
        storm_days=(3, 6),
        temperature_c=(22, 31),
    ),
    catchment=Catchment(
        area_km2=4000,
        runoff_share=(0.1, 0.8),
        half_wet_mm=150,
        quick_share=0.7,
        quick_days=1.0,
        quick_stores=3,
        slow_days=40,
    ),
    geometry=Geometry(
        bottom_m=455.0,
        full_supply_m=500.0,
        spillway_crest_m=502.0,
        design_flood_m=504.0,
        dam_crest_m=507.0,
        full_storage_m3=1.9e9,
        shape=2.1,
    ),
    outlets=Outlets(
        demand_m3s=60.0,
        rule_low_m=497.5,
        rule_high_m=500.0,
        rule_low_day=190,
        gates_m3s=1000.0,
        gates_open_over_m=3.0,
        weir_m3s=260.0,
    ),
)

DAMS = (FLOOD_DETENTION, SNOW_FED, MONSOON)
