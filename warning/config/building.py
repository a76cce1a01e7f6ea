"""From drafts without a problem to the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from warning.config.drafts import (
    DefaultsDraft,
    Draft,
    PerVariableDraft,
    RecipientDraft,
    ReservoirDraft,
    RiseThresholdDraft,
    ScreeningDraft,
    ThresholdDraft,
)
from warning.domain.delivery import Channel, Recipient
from warning.domain.reservoir import (
    AlertPolicy,
    Bounds,
    ForecastRule,
    LevelThreshold,
    Reservoir,
    RiseThreshold,
    ScreeningLimits,
    Severity,
)
from warning.domain.variables import Variable

DEFAULT_STALE_AFTER_DAYS = 2
Severities = Mapping[str, Severity]
T = TypeVar("T")


def build_reservoir(
    dam_id: str, draft: ReservoirDraft, defaults: DefaultsDraft, severities: Severities
) -> Reservoir:
    """Return the dam of a draft about which nothing was complained; its own keys go before `defaults`."""
    thresholds = (_threshold(entry, severities) for entry in draft.thresholds or ())
    policy = {**_given(defaults.policy), **_given(draft.policy)}
    return Reservoir(
        id=dam_id,
        name=_sure(draft.name),
        time_zone=ZoneInfo(_sure(draft.time_zone)),
        datum=draft.datum or "",
        forecast_variable=Variable(_sure(draft.forecast_variable)),
        limits={Variable(name): Bounds(*limits) for name, limits in _given(draft.limits).items()},
        level_thresholds=tuple(sorted(thresholds, key=lambda threshold: threshold.value)),
        rise_thresholds=tuple(_rise(entry, severities) for entry in draft.rise_thresholds or ()),
        stale_after_days=draft.stale_after_days or defaults.stale_after_days or DEFAULT_STALE_AFTER_DAYS,
        instructions={**(defaults.instructions or {}), **(draft.instructions or {})},
        screening=_screening(draft.screening or ScreeningDraft()),
        policy=AlertPolicy(**policy),
    )


def build_recipient(
    name: str,
    draft: RecipientDraft,
    channels: tuple[Channel, ...],
    reservoirs: frozenset[str] | None,
    severities: Severities,
) -> Recipient:
    """Return the recipient of a draft about which nothing was complained."""
    return Recipient(
        id=name,
        name=_sure(draft.name),
        channels=channels,
        least_severity=severities[_sure(draft.least_severity)],
        reservoirs=reservoirs,
        findings=draft.findings or False,
    )


def _threshold(draft: ThresholdDraft, severities: Severities) -> LevelThreshold:
    rule = draft.forecast
    return LevelThreshold(
        name=_sure(draft.name),
        severity=severities[_sure(draft.severity)],
        value=_sure(draft.value),
        clear_value=_sure(draft.clear_value),
        forecast=ForecastRule(_sure(rule.probability), _sure(rule.within_days)) if rule else None,
    )


def _rise(draft: RiseThresholdDraft, severities: Severities) -> RiseThreshold:
    return RiseThreshold(
        name=_sure(draft.name),
        severity=severities[_sure(draft.severity)],
        rise_per_day=_sure(draft.rise_per_day),
        clear_rise_per_day=_sure(draft.clear_rise_per_day),
        arming_value=_sure(draft.above),
    )


def _screening(draft: ScreeningDraft) -> ScreeningLimits:
    return ScreeningLimits(
        rate_per_day=_by_variable(draft.rate_per_day),
        spike=_by_variable(draft.spike),
        sentinels=None if draft.sentinels is None else tuple(draft.sentinels),
        flat_line_days=draft.flat_line_days,
        zero_run_days=draft.zero_run_days,
        gap_days=draft.gap_days,
        level_storage_tolerance_m=draft.level_storage_tolerance_m,
        scale_step_factor=draft.scale_step_factor,
    )


def _by_variable(draft: PerVariableDraft | None) -> dict[Variable, float]:
    return {Variable(name): value for name, value in _given(draft).items()}


def _given(draft: Draft | None) -> dict[str, Any]:
    return {name: value for name, value in draft if value is not None} if draft else {}


def _sure(value: T | None) -> T:
    """Return a value whose absence would have been complained about."""
    if value is None:
        raise ValueError("a draft with problems cannot be built")
    return value
