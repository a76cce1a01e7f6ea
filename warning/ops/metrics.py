"""How the daemon is, as numbers, and their exposition for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

PREFIX: Final = "dam_warning_"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class DamView:
    """One dam: the rank of the severity that stands (0: calm), and the age of its newest reading."""

    reservoir_id: str
    severity_rank: int
    unwatched: bool
    newest_reading_age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleView:
    """The last cycle that looked at every dam's forecast and came to its end."""

    started_at: datetime
    complete: bool
    duration_s: float
    forecasts: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """What waits to be delivered: never tried, tried in vain, and for how long the oldest has waited."""

    pending: int
    failed: int
    oldest_age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """What the endpoints say at one instant; None is unknown, and is then left out of the metrics.

    `troubles` are sentences for people, `trouble_counts` how many of each kind stand.
    """

    version: str
    digest: str
    dams: tuple[DamView, ...]
    last_cycle: CycleView | None
    last_complete_at: datetime | None
    queue: QueueView
    troubles: tuple[str, ...]
    trouble_counts: Mapping[str, int] = field(default_factory=dict)
    model_age_s: float | None = None
    disk_free_bytes: int | None = None

    @property
    def well(self) -> bool:
        return not self.troubles


def exposition(view: Callable[[], HealthView]) -> Callable[[], bytes]:
    """Return what writes the metrics of `view` and of this process as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Collector(view))
    return lambda: generate_latest(registry)


class _Collector(Collector):
    def __init__(self, view: Callable[[], HealthView]) -> None:
        self._view = view

    def describe(self) -> list[Metric]:
        return []  # else the registry would ask for a view before anything is known

    def collect(self) -> Iterator[Metric]:
        view = self._view()
        yield from _dams(view.dams)
        yield from _cycles(view)
        yield from _queue(view.queue)
        yield _troubles(view)
        yield from _known("model_age_seconds", "Age of the model in force.", view.model_age_s)
        yield from _known(
            "disk_free_bytes", "Space left where the state directory lies.", view.disk_free_bytes
        )
        yield _labelled("configuration_info", "The configuration in force.", "digest", {view.digest: 1.0})
        yield _labelled("build_info", "The program that runs.", "version", {view.version: 1.0})


def _dams(dams: tuple[DamView, ...]) -> Iterator[Metric]:
    ranks = {dam.reservoir_id: float(dam.severity_rank) for dam in dams}
    yield _labelled("severity_rank", "Rank of the severity that stands at a dam; 0 is calm.", "dam", ranks)
    unwatched = {dam.reservoir_id: float(dam.unwatched) for dam in dams}
    yield _labelled("unwatched", "1 where the dam cannot be watched at present.", "dam", unwatched)
    ages = {
        dam.reservoir_id: dam.newest_reading_age_s for dam in dams if dam.newest_reading_age_s is not None
    }
    yield _labelled("newest_reading_age_seconds", "Age of the dam's newest reading.", "dam", ages)


def _cycles(view: HealthView) -> Iterator[Metric]:
    complete_at = None if view.last_complete_at is None else view.last_complete_at.timestamp()
    text = "When the newest cycle that judged every dam began."
    yield from _known("last_complete_cycle_timestamp_seconds", text, complete_at)
    if (cycle := view.last_cycle) is not None:
        yield from _known("last_cycle_duration_seconds", "How long the last cycle took.", cycle.duration_s)
        yield from _known("last_cycle_forecasts", "Dams that the last cycle forecast.", cycle.forecasts)
        yield from _known("last_cycle_failures", "Dams that the last cycle could not judge.", cycle.failures)


def _queue(queue: QueueView) -> Iterator[Metric]:
    waiting = {"pending": float(queue.pending), "failed": float(queue.failed)}
    yield _labelled(
        "deliveries_waiting", "Deliveries neither sent nor given up: untried, failed.", "state", waiting
    )
    yield from _known(
        "oldest_delivery_age_seconds", "For how long the oldest of them waits.", queue.oldest_age_s or 0.0
    )


def _troubles(view: HealthView) -> Metric:
    counts = {kind: float(count) for kind, count in view.trouble_counts.items()}
    return _labelled("troubles", "Troubles that stand, by kind.", "kind", counts)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _known(name: str, text: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        yield GaugeMetricFamily(PREFIX + name, text, value=value)
