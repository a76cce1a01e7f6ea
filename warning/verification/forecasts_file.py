"""Every forecast of a backtest in one CSV file, so that anyone can score them with tools of their own."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, POOL, QUANTILE_LEVELS
from warning.domain.variables import BoolArray, FloatArray
from warning.errors import UsageError
from warning.forecasting.pool import PoolResult
from warning.verification.scoring import methods_of
from warning.verification.sites import Site

COLUMNS = ("reservoir", "issued_on", "valid_on", "lead_days", "method", "mean")
_NUMBER = "%.10g"  # a storage of 10⁹ m³ to the cubic metre, a level to the micrometre


def quantile_column(level: float) -> str:
    """Return the column's name: q05 for 0.05, q025 for 0.025, the digits after the point."""
    digits = f"{level:.3f}"[2:]
    return f"q{digits[:2] if digits.endswith('0') else digits}"


class ForecastsFile:
    """An open file of forecasts; a dam at a time is added, and nothing is kept in memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.rows = 0
        names = [*COLUMNS, *(quantile_column(level) for level in QUANTILE_LEVELS)]
        stream.write(",".join(names) + "\n")

    def add(self, site: Site, result: PoolResult, issued: BoolArray) -> None:
        """Write what every method forecast on the rows of `result` that `issued` marks.

        A method without a forecast on a row has no line there; only the pool has quantiles.
        """
        first = np.datetime64(result.first_day, "D")
        days = np.datetime_as_string(first + np.arange(int(result.rows[-1]) + HORIZON_DAYS + 1)).tolist()
        rows = result.rows[issued].tolist()
        for method, values in methods_of(result).items():
            tails = _quantile_cells(result.quantiles[issued]) if method == POOL else None
            self._write(site.id, method, rows, days, values[issued], tails)

    def _write(
        self,
        site_id: str,
        method: str,
        rows: Sequence[int],
        days: Sequence[str],
        values: FloatArray,
        tails: list[list[str]] | None,
    ) -> None:
        empty = "," * len(QUANTILE_LEVELS)
        lines = []
        for i, (row, means) in enumerate(zip(rows, values.tolist(), strict=True)):
            start = f"{site_id},{days[row]},"
            for lead, mean in enumerate(means, 1):
                if mean == mean:  # a number
                    tail = tails[i][lead - 1] if tails is not None else empty
                    lines.append(f"{start}{days[row + lead]},{lead},{method},{_NUMBER % mean}{tail}\n")
        self._stream.writelines(lines)
        self.rows += len(lines)


@contextmanager
def open_forecasts_file(path: Path) -> Iterator[ForecastsFile]:
    """Open `path` for writing, compressed if its name ends in .gz.

    Raises UsageError where the name says neither, or the file cannot be written.
    """
    if path.suffix not in (".csv", ".gz"):
        raise UsageError(f"--forecasts {path}: expected a name that ends in .csv or .csv.gz")
    try:
        stream = _text_stream(path)
    except OSError as error:
        raise UsageError(
            f"--forecasts {path} cannot be written: {error.strerror}; choose another place"
        ) from error
    with stream:
        yield ForecastsFile(stream)


def _text_stream(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", compresslevel=4, encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="", buffering=1 << 20)


def _quantile_cells(quantiles: FloatArray) -> list[list[str]]:
    form = "," + ",".join([_NUMBER] * len(QUANTILE_LEVELS))
    return [[form % tuple(row) for row in day] for day in quantiles.tolist()]
