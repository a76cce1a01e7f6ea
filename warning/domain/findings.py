"""Findings: what a person should know about the input, the forecast or the program itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from warning.domain.variables import Variable


class FindingKind(StrEnum):
    """What a finding is about; the value is what the record keeps."""

    # the input
    NO_READINGS = "no-readings"
    SOURCE_FAILED = "source-failed"
    STALE = "stale"
    GAP = "gap"
    BAD_CELL = "bad-cell"
    PHYSICAL_RANGE = "physical-range"
    SENTINEL = "sentinel"
    ZERO_RUN = "zero-run"
    SPIKE = "spike"
    RATE_OF_CHANGE = "rate-of-change"
    FLAT_LINE = "flat-line"
    DUPLICATE_DAYS = "duplicate-days"
    LEVEL_AGAINST_STORAGE = "level-against-storage"
    SCALE_STEP = "scale-step"
    SUSPECT_LAST_READING = "suspect-last-reading"
    OUTLOOK_STALE = "outlook-stale"
    OUTLOOK_UNUSABLE = "outlook-unusable"
    # the forecast
    SHORT_HISTORY = "short-history"
    NO_MODEL = "no-model"
    MODEL_UNUSABLE = "model-unusable"
    NETWORKS_FAILED = "networks-failed"
    NO_FORECAST = "no-forecast"
    OUT_OF_RANGE_INPUT = "out-of-range-input"
    UNKNOWN_TO_MODEL = "unknown-to-model"
    # the program
    DELIVERY_EXPIRED = "delivery-expired"
    RESERVOIR_FAILED = "reservoir-failed"
    MESSAGE_FAILED = "message-failed"
    CYCLE_FAILED = "cycle-failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, in words that stand alone; `reservoir_id` is None for the whole service."""

    kind: FindingKind
    message: str
    reservoir_id: str | None = None
    variable: Variable | None = None
    day: date | None = None
