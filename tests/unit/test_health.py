"""What stands wrong is found from the record and the machine; what cannot be found out is told too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import warning.health
from warning.alerts.service_messages import title_of
from warning.config.configuration import Configuration, InfluxdbSource
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.domain.alert import CALM, Alert, AlertKind
from warning.domain.delivery import Composed, Message, MessageForm
from warning.domain.readings import ReadingSeries
from warning.domain.troubles import Trouble, TroubleKind
from warning.domain.variables import Variable
from warning.forecasting.registry import Registry
from warning.health import examine, is_examined, service_alert, tell
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal
from warning.sources.writeback_note import note_in
from warning.wiring import open_journal, registry_of

NOW = datetime(2026, 5, 5, 3, 0, tzinfo=UTC)  # 08:30 in India; the cycle was due at 07:00
TODAY = date(2026, 5, 5)
HOUR = timedelta(hours=1)
Look = Callable[..., list[Trouble]]


@pytest.fixture(autouse=True)
def _no_timesync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(warning.health, "TIMESYNC", tmp_path / "timesync")


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    write_configuration(
        tmp_path, readings=tmp_path, state_directory=tmp_path / "state", mail_port=2525, max_epochs=1
    )
    return load_configuration(tmp_path)


@pytest.fixture
def journal(configuration: Configuration) -> Iterator[Journal]:
    opened = open_journal(configuration)
    yield opened
    opened.close()


def cycle(
    journal: Journal,
    configuration: Configuration,
    began: datetime = NOW - HOUR,
    *,
    failures: int | None = 0,
    early: bool = False,
    last_day: date | None = TODAY - timedelta(days=1),
    unwatched: bool = False,
) -> None:
    """Put a cycle on record that saw every dam; one without `failures` was cut off."""
    number = journal.begin_cycle(began, configuration.digest, None)
    column, flags = np.full(3, 1.0), np.zeros(3, dtype=np.uint16)
    level = Variable.LEVEL_M
    for reservoir in configuration.reservoirs:
        series = None
        if last_day is not None:
            first = last_day - timedelta(days=2)
            series = ReadingSeries(first, {level: column}, {level: flags}, {level: flags})
        entry = CycleEntry(
            cycle_id=number,
            reservoir_id=reservoir.id,
            recorded_at=began,
            series=series,
            forecast=None,
            assessment=None,
            findings=(),
            alerts=(),
            standing=replace(CALM, unwatched=unwatched),
        )
        journal.record(entry, lambda alert: pytest.fail("no alert is made"))
    if failures is not None:
        counts = {"reservoirs": 3, "forecasts": 3, "unwatched": 0, "alerts": 0, "failures": failures}
        journal.close_cycle(number, began + timedelta(minutes=1), early=early, **counts)


@pytest.fixture
def look(configuration: Configuration, journal: Journal) -> Look:
    def looking(at: datetime = NOW, **health: object) -> list[Trouble]:
        settings = replace(configuration.health, **health)  # type: ignore[arg-type]
        under = replace(configuration, health=settings)
        return list(examine(under, journal, registry_of(configuration), at))

    return looking


def kinds(troubles: list[Trouble]) -> list[TroubleKind]:
    for trouble in troubles:
        assert is_examined(trouble)
        assert title_of(trouble)
        assert trouble.message.endswith(".")
    return [trouble.kind for trouble in troubles]


def test_a_service_that_did_its_work_has_no_trouble(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration)
    assert look() == []


def test_a_record_without_any_cycle_is_told(look: Look) -> None:
    assert kinds(look()) == [TroubleKind.CYCLE_OVERDUE]


def test_a_cycle_that_is_due_has_half_an_hour(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    due = datetime(2026, 5, 5, 1, 30, tzinfo=UTC)
    cycle(journal, configuration, due - 24 * HOUR)
    assert look(due + timedelta(minutes=29)) == []
    (trouble,) = look(due + timedelta(minutes=30))
    assert (trouble.kind, trouble.detail) == (TroubleKind.CYCLE_OVERDUE, "due 2026-05-05 07:00 IST")


def test_a_late_cycle_that_runs_is_given_time_and_one_that_was_cut_off_is_told(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration, NOW - 30 * HOUR)
    cycle(journal, configuration, NOW - timedelta(minutes=10), failures=None)
    assert look() == []
    assert kinds(look(NOW + HOUR)) == [TroubleKind.CYCLE_OVERDUE, TroubleKind.CYCLE_PARTIAL]


def test_an_early_look_is_not_the_cycle_that_was_due(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration, early=True)
    assert kinds(look()) == [TroubleKind.CYCLE_OVERDUE, TroubleKind.CYCLE_PARTIAL]


def test_a_cycle_that_left_dams_out_is_told(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration, failures=2)
    (trouble,) = look()
    assert (trouble.kind, trouble.detail) == (TroubleKind.CYCLE_PARTIAL, "2 failed")


@pytest.mark.parametrize(
    ("last_day", "unwatched", "old"),
    [
        (TODAY, False, False),
        (TODAY - timedelta(days=2), False, False),
        (TODAY - timedelta(days=9), False, True),
        (TODAY + timedelta(days=3), False, True),
        (None, False, True),
        (TODAY, True, True),
    ],
    ids=["today", "the day before yesterday", "old", "in the future", "none", "not to be believed"],
)
def test_readings_of_no_dam_at_all_are_the_source_s_trouble(
    configuration: Configuration,
    journal: Journal,
    look: Look,
    last_day: date | None,
    unwatched: bool,
    old: bool,
) -> None:
    cycle(journal, configuration, last_day=last_day, unwatched=unwatched)
    assert kinds(look()) == [TroubleKind.SOURCE_OLD] * old


def announce(journal: Journal, at: datetime) -> Alert:
    deliveries = (("jane", "mail", MessageForm.EMAIL), ("omar", "mail", MessageForm.EMAIL))
    return journal.announce(
        service_alert(AlertKind.SERVICE, at, ()),
        lambda alert: Composed(
            message=Message("s", "t", "h", "m"), deliveries=deliveries, expires_at=at + 24 * HOUR
        ),
    )


def test_what_waits_too_long_is_told_with_how_much_since_when_and_for_whom(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration)
    announce(journal, NOW - timedelta(minutes=29))
    assert look() == []
    (trouble,) = look(NOW + timedelta(minutes=1))
    assert trouble.kind is TroubleKind.UNDELIVERED
    for words in ("2 messages", "2026-05-05 02:31 UTC", "jane, omar"):
        assert words in trouble.message
    assert look(NOW + timedelta(minutes=1), undelivered_minutes=60) == []


def test_little_room_is_told_once_for_one_disk(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration)
    (trouble,) = look(least_free_disk_mb=10**12)
    assert (trouble.kind, trouble.key) == (TroubleKind.DISK_LOW, str(configuration.state_directory))
    assert trouble.detail.endswith("MB free")


def test_a_clock_behind_the_record_is_told(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration)
    cycle(journal, configuration, NOW + 2 * HOUR)
    assert kinds(look()) == [TroubleKind.CLOCK]


def test_a_clock_that_nobody_synchronises_is_told_after_an_hour(
    configuration: Configuration, journal: Journal, look: Look, tmp_path: Path
) -> None:
    cycle(journal, configuration)
    folder = tmp_path / "timesync"
    folder.mkdir()
    began = NOW.timestamp() - 3599
    os.utime(folder, (began, began))
    assert look() == []
    assert kinds(look(NOW + timedelta(seconds=1))) == [TroubleKind.CLOCK]
    (folder / "synchronized").touch()
    assert look(NOW + HOUR) == []


def manifest(configuration: Configuration, created: datetime, *, damaged: bool = False) -> None:
    """Put a model in force, of which only what is read here is there."""
    folder = configuration.state_directory / "models"
    (folder / "models" / "m1").mkdir(parents=True)
    text = f'{{"created_at": "{created.isoformat()}", "sites": {{}}}}'
    (folder / "models" / "m1" / "manifest.json").write_text("{" if damaged else text)
    (folder / "active.json").write_text('{"model_id": "m1", "manifest_sha256": ""}')


@pytest.mark.parametrize(("days", "old"), [(60, False), (61, True), (-2, True)])
def test_a_model_is_told_that_is_older_than_the_admin_wants_or_from_the_future(
    configuration: Configuration, journal: Journal, look: Look, days: int, old: bool
) -> None:
    cycle(journal, configuration)
    manifest(configuration, NOW - timedelta(days=days))
    assert kinds(look()) == [TroubleKind.MODEL_OLD] * old


def test_a_model_that_cannot_be_read_is_told(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    cycle(journal, configuration)
    manifest(configuration, NOW, damaged=True)
    assert kinds(look()) == [TroubleKind.MODEL_UNUSABLE]
    (configuration.state_directory / "models" / "active.json").write_text("not JSON")
    (trouble,) = look()
    assert (trouble.kind, trouble.key) == (TroubleKind.CHECK_FAILED, "model")


def test_forecasts_that_could_not_be_written_back_are_told(
    configuration: Configuration, journal: Journal
) -> None:
    cycle(journal, configuration)
    source = InfluxdbSource(url="http://127.0.0.1:9", measurement="m", dam_tag="dam", fields={})
    under = replace(configuration, source=source)
    note_in(under.state_directory)("no connection")
    (trouble,) = examine(under, journal, registry_of(under), NOW)
    assert trouble.kind is TroubleKind.WRITE_BACK_FAILED
    assert "no connection" in trouble.message
    note_in(under.state_directory)(None)
    assert examine(under, journal, registry_of(under), NOW) == ()


def test_a_check_that_fails_is_a_trouble_itself_and_stops_no_other(
    configuration: Configuration, journal: Journal, tmp_path: Path
) -> None:
    nowhere = replace(configuration, state_directory=tmp_path / "nowhere")
    found = examine(nowhere, journal, Registry(tmp_path), NOW)
    assert [(t.kind, t.key) for t in found] == [
        (TroubleKind.CYCLE_OVERDUE, "cycle"),
        (TroubleKind.CHECK_FAILED, "disk"),
    ]
    assert "nowhere" in found[1].message


def test_a_record_that_cannot_be_read_is_one_trouble(configuration: Configuration, journal: Journal) -> None:
    record = journal.path
    assert record is not None
    journal.close()
    for file in record.parent.glob(f"{record.name}*"):
        file.unlink()
    record.mkdir()
    found = examine(configuration, journal, registry_of(configuration), NOW)
    assert [(t.kind, t.key) for t in found] == [(TroubleKind.RECORD_FAILED, "reading")]


def test_what_is_told_goes_to_people_by_the_ordinary_way(
    configuration: Configuration, journal: Journal, look: Look
) -> None:
    news = tell(look(), journal, configuration.recipients, configuration.retry, NOW, "gate")
    assert [s.trouble.kind for s in news.fresh] == [TroubleKind.CYCLE_OVERDUE]
    due = journal.claim_due(NOW, 9, 60)
    assert {d.message.subject for d in due} == {
        "dam-warning on gate: the daily cycle did not run (never run)"
    }
    assert not tell(look(), journal, configuration.recipients, configuration.retry, NOW + HOUR, "gate").any
