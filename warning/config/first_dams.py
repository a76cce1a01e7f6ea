"""The first reservoirs.toml: what a record tells of its dams, and placeholders for what only people know."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warning.config.understanding import PLACEHOLDER
from warning.domain.readings import RawReadings
from warning.domain.reservoir import Bounds, ScreeningLimits, Severity
from warning.domain.screening_limits import derive_bounds, derive_limits
from warning.domain.variables import FORECAST_VARIABLES, Variable

_OPEN = json.dumps(PLACEHOLDER)
_THRESHOLDS = 2  # of the most severe kinds; who wants more copies one

_HEAD = f"""\
# dam-warning: the dams, as `dam-warning init` found them in {{source}}.
#
# Wherever {_OPEN} stands, only you know the answer: `dam-warning check-config` refuses this file until it is
# given. Everything else is a proposal drawn from the record; config/reservoirs.toml of the distribution
# explains every key. Values of thresholds are in m for level_m and in m³ for storage_m3.

[defaults]
# A dam whose newest reading is older than this many days is unwatched, and everyone who watches it is told.
stale_after_days = 2

# What the reader is to do, by severity.
# [defaults.instructions]
# {{severity}} = "Call the dam engineer on duty."
"""


@dataclass(frozen=True, slots=True)
class FirstDam:
    """A dam that the source holds readings of; storage in % cannot be told in m³ without a capacity."""

    id: str
    name: str
    source_tag: str | None
    readings: RawReadings
    storage_in_percent: bool = False


def first_reservoirs(dams: Sequence[FirstDam], severities: Sequence[Severity], source: str) -> str:
    """Return the text of a reservoirs.toml for `dams`; `source` names where they were found."""
    blocks = [_HEAD.format(source=_one_line(source), severity=severities[-1].name)]
    blocks += ["\n".join(_dam_lines(dam, severities)) + "\n" for dam in dams]
    return "\n\n".join(blocks)


def forecast_variable(dam: FirstDam) -> Variable | None:
    """Return what a dam can be forecast by: the level where it has one as good as the storage, or None."""
    counts = {variable: _count(dam.readings, variable) for variable in FORECAST_VARIABLES}
    level, storage = counts[Variable.LEVEL_M], counts[Variable.STORAGE_M3]
    if not level and not storage:
        return None
    return Variable.LEVEL_M if level >= storage / 2 else Variable.STORAGE_M3


def _dam_lines(dam: FirstDam, severities: Sequence[Severity]) -> Iterator[str]:
    table = f"reservoirs.{dam.id}"
    variable = forecast_variable(dam)
    if variable is None:
        raise ValueError(f"{dam.id} has neither a level nor a storage to be forecast by")
    yield f"[{table}]"
    yield f"# {_record_words(dam)}"
    yield f"name = {_text(_one_line(dam.name)[:200] or dam.id)}"
    if dam.source_tag is not None:
        yield f"source_tag = {_text(dam.source_tag)}"
    yield ""
    yield "# Whose clock its days and messages go by, as in America/Los_Angeles."
    yield f"time_zone = {_OPEN}"
    yield f'forecast_variable = "{variable}"'
    if variable is Variable.LEVEL_M:
        yield ""
        yield "# The zero of its levels, stated beside every level, as in NGVD29."
        yield f"datum = {_OPEN}"
    if dam.storage_in_percent:
        yield ""
        yield "# How many m³ are 100 %: the source holds storage in % of capacity."
        yield f"capacity_m3 = {_OPEN}"
    yield ""
    yield from _limit_lines(dam, variable)
    yield ""
    yield from _threshold_lines(dam, variable, severities)


def _limit_lines(dam: FirstDam, variable: Variable) -> Iterator[str]:
    """Bounds as keys, screening as comments: a limit that is set no longer follows the record."""
    bounds = derive_bounds(dam.readings)
    yield "# What is physically possible; here, generously, by its record. Better: from the empty pool to"
    yield "# well above the crest of the dam."
    yield f"[reservoirs.{dam.id}.limits]"
    for one in Variable:
        if dam.storage_in_percent and one is Variable.STORAGE_M3:
            if one is variable:
                yield f"{one} = {_OPEN}"
        elif one in bounds:
            yield f"{one} = {_range(one, bounds[one])}"
        elif one is variable:
            yield f"{one} = {_OPEN}"
    yield ""
    yield "# What counts as a doubtful reading is derived from the record, at present so. Uncomment a line to"
    yield "# keep it as it is."
    yield f"[reservoirs.{dam.id}.screening]"
    readings = dam.readings
    if dam.storage_in_percent:
        values = dict(readings.values)
        values.pop(Variable.STORAGE_M3, None)
        readings = RawReadings(readings.days, values)
    yield from _screening_lines(derive_limits(readings, bounds))


def _screening_lines(limits: ScreeningLimits) -> Iterator[str]:
    for key, by_variable in (("rate_per_day", limits.rate_per_day), ("spike", limits.spike)):
        if by_variable:
            yield f"# {key} = {_inline(by_variable)}"
    yield f"# flat_line_days = {limits.flat_line_days}"
    yield f"# zero_run_days = {limits.zero_run_days}"
    yield f"# level_storage_tolerance_m = {_number(limits.level_storage_tolerance_m or 1.0)}"


def _threshold_lines(dam: FirstDam, variable: Variable, severities: Sequence[Severity]) -> Iterator[str]:
    unit = "% of capacity" if dam.storage_in_percent and variable is Variable.STORAGE_M3 else variable.unit
    yield "# Thresholds, rising with severity: from `value` on it is raised, below `clear_value` it is over."
    yield f"# {_highest_words(dam.readings, variable, unit)}"
    for severity in severities[-_THRESHOLDS:]:
        yield f"[[reservoirs.{dam.id}.thresholds]]"
        yield f"name = {_text(severity.name)}"
        yield f"severity = {_text(severity.name)}"
        yield f"value = {_OPEN}"
        yield f"clear_value = {_OPEN}"
        yield "forecast = { probability = 0.5, within_days = 7 }"
        yield ""
    yield "# More severities, a rise per day, instructions and screening: see the commented sample."


def _record_words(dam: FirstDam) -> str:
    counts = [(variable, _count(dam.readings, variable)) for variable in Variable]
    held = ", ".join(f"{variable} on {count:,}" for variable, count in counts if count)
    days = dam.readings.days
    return f"Its record: {days.min()} to {days.max()}; days with a reading: {held}."


def _highest_words(readings: RawReadings, variable: Variable, unit: str) -> str:
    values = readings.values[variable]
    row = int(np.nanargmax(values))
    usual = float(np.nanquantile(values, 0.99))
    return (
        f"On record (unscreened) the highest {variable.noun} is {_number(float(values[row]))} {unit} of "
        f"{readings.days[row]}; one day in a hundred is above {_number(usual)} {unit}."
    )


def _count(readings: RawReadings, variable: Variable) -> int:
    column = readings.values.get(variable)
    return 0 if column is None else int(np.isfinite(column).sum())


def _range(variable: Variable, bounds: Bounds) -> str:
    return f"[{_outward(bounds.lower, math.floor)}, {_outward(bounds.upper, math.ceil)}]"


def _outward(value: float, rounded: Callable[[float], int]) -> str:
    """Return `value` with three digits, never further in than it was."""
    if value == 0:
        return "0.0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return _number(rounded(value / step) * step)


def _inline(by_variable: Mapping[Variable, float]) -> str:
    cells = ", ".join(f"{variable} = {_number(value)}" for variable, value in by_variable.items())
    return f"{{ {cells} }}"


def _number(value: float) -> str:
    """Return a number as TOML writes it, with digits enough for a proposal."""
    text = f"{value:.6g}".replace("e+0", "e").replace("e+", "e")
    return text if "." in text or "e" in text else f"{text}.0"


def _text(text: str) -> str:
    """Return a basic string of TOML; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
