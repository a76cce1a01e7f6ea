"""The cycle from readings to mail, with a real record, real files and a real SMTP server on loopback."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import warning.cycle
from warning.domain.alert import AlertKind
from warning.domain.findings import FindingKind
from warning.errors import UsageError
from warning.wiring import open_journal, refuse_the_past


def test_a_calm_fleet_sends_no_warning(world: Any) -> None:
    outcomes = world.cycle()
    assert all(o.assessment is not None and o.assessment.calm for o in outcomes.values())
    assert not [s for s in world.subjects() if "WARNING" in s or "EMERGENCY" in s]


def test_an_observed_crossing_reaches_the_mailbox_without_any_model(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    outcomes = world.cycle()
    assessment = outcomes["upper"].assessment
    assert assessment is not None
    assert assessment.severity is not None
    assert assessment.severity.name == "emergency"
    assert assessment.degraded, "the lost networks are named"
    mails = {
        mail.subject.partition(":")[0]: mail
        for mail in world.mailbox.messages()
        if "EMERGENCY" in mail.subject
    }
    assert mails.keys() == {"EMERGENCY observed", "EMERGENCY observed, update"}
    first = mails["EMERGENCY observed"]
    assert first.text is not None
    text = first.text.read_text()
    assert "without waiting for the forecast" in text
    assert "Upper dam" in text
    assert "Clear the valley." in text
    assert len(first.images) == 1, "the plot is in the mail"


def test_a_crossing_is_told_even_when_the_forecaster_breaks_in_an_unforeseen_way(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_readings("upper", world.crossing(42.5))

    def explode(self: object, histories: object, now: object) -> None:
        raise RuntimeError("a cosmic ray")

    monkeypatch.setattr("warning.forecasting.forecaster.Forecaster.__call__", explode)
    outcomes = world.cycle()
    assert next(a.kind for a in outcomes["upper"].alerts) is AlertKind.RAISE
    assert any("EMERGENCY" in subject for subject in world.subjects())
    assert any("a cosmic ray" in f.message for f in outcomes["upper"].findings)


def test_a_broken_message_goes_out_in_plain_words(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write_readings("upper", world.crossing(42.5))

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("a template lost its mind")

    monkeypatch.setattr(warning.cycle, "compose_message", explode)
    world.cycle()
    assert any("EMERGENCY" in subject.upper() for subject in world.subjects())


def test_a_dam_whose_judgement_breaks_is_unwatched_and_the_other_dam_is_warned_of(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_readings("lower", world.crossing(42.5))
    real = warning.cycle.assess

    def fragile(reservoir: Any, series: Any, *rest: Any, **named: Any) -> Any:
        if reservoir.id == "upper" and series is not None:
            raise RuntimeError("unforeseen")
        return real(reservoir, series, *rest, **named)

    monkeypatch.setattr(warning.cycle, "assess", fragile)
    outcomes = world.cycle()
    upper = outcomes["upper"].assessment
    assert upper is not None
    assert upper.unwatched is not None
    assert any("UNWATCHED" in s and "Upper" in s for s in world.subjects())
    assert any("EMERGENCY" in s and "Lower" in s for s in world.subjects())


def test_a_missing_file_makes_its_dam_unwatched_and_no_other(world: Any) -> None:
    (world.config / "readings" / "upper.csv").unlink()
    outcomes = world.cycle()
    upper, lower = outcomes["upper"].assessment, outcomes["lower"].assessment
    assert upper is not None
    assert upper.unwatched is not None
    assert lower is not None
    assert lower.unwatched is None
    assert any("UNWATCHED" in s and "Upper" in s for s in world.subjects())
    assert FindingKind.SOURCE_FAILED in {f.kind for f in outcomes["upper"].findings}


def test_stale_readings_are_never_calm(world: Any) -> None:
    outcomes = world.cycle(world.today + timedelta(days=9))
    assert all(o.assessment is not None and o.assessment.unwatched for o in outcomes.values())


def test_a_second_cycle_on_the_same_day_says_nothing_again(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    world.cycle()
    before = world.subjects()
    outcomes = world.cycle()
    assert outcomes["upper"].alerts == ()
    assert world.subjects() == before


def test_a_warning_is_called_off_when_the_water_has_gone(world: Any) -> None:
    levels, lower = world.crossing(40.5), world.crossing(30.0)
    world.write_readings("upper", levels)
    world.cycle()
    for ahead, level in enumerate((38.0, 36.0, 34.0), start=1):
        day = world.today + timedelta(days=ahead)
        levels[day] = level
        world.write_readings("upper", levels)
        lower[day] = 30.0 + 0.01 * ahead
        world.write_readings("lower", lower)
        world.cycle(day)
    kinds = [s for s in world.subjects() if "Upper" in s]
    assert any("WARNING" in s for s in kinds)
    assert any("ALL CLEAR" in s.upper() for s in kinds)


def test_what_is_recorded_but_unsent_is_sent_by_the_next_run(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    world.cycle(deliver=False)
    assert world.subjects() == []
    owed = world.cycle()
    assert owed["upper"].alerts == ()
    assert sum("EMERGENCY observed:" in subject for subject in world.subjects()) == 1


def test_the_record_holds_why_a_warning_was_sent(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    first, update = (alert.number for alert in world.cycle()["upper"].alerts[:2])
    journal = open_journal(world.load())
    try:
        assert first is not None
        assert update is not None
        early, record = journal.alert_record(first), journal.alert_record(update)
        assert early is not None
        assert early.entry is not None
        assert early.entry.forecast is None, "nothing was waited for"
        assert record is not None
        assert record.entry is not None
        assert record.entry.series is not None
        assert record.entry.forecast is not None
        assert record.entry.forecast.members
        assert record.message.subject
        assert [attempt.outcome for _, attempts in record.deliveries for attempt in attempts] == ["sent"]
    finally:
        journal.close()


def test_the_record_never_runs_backwards(world: Any) -> None:
    world.cycle()
    journal = open_journal(world.load())
    try:
        with pytest.raises(UsageError, match="later than"):
            refuse_the_past(journal, journal.recent_cycles(1)[0].started_at - timedelta(days=1))
    finally:
        journal.close()


def test_no_secret_or_address_lies_in_the_record(world: Any, tmp_path: Path) -> None:
    world.write_readings("upper", world.crossing(42.5))
    world.cycle()
    content = b"".join(p.read_bytes() for p in (world.config / "state").rglob("journal.sqlite3*"))
    assert b"mailto" not in content


def test_what_concerns_the_whole_service_is_told_once_and_not_once_per_dam(world: Any) -> None:
    outcomes = world.cycle()
    assert all(FindingKind.NO_MODEL in {f.kind for f in o.findings} for o in outcomes.values())
    texts = [mail.text.read_text() for mail in world.mailbox.messages() if mail.text]
    assert sum("dam-warning train" in text for text in texts) == 1


def test_an_observed_crossing_is_on_record_before_the_forecaster_is_asked(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write_readings("upper", world.crossing(42.5))
    on_record: list[str] = []
    real = warning.cycle.Forecaster.__call__

    def look(self: Any, histories: Any, now: Any) -> Any:
        journal = open_journal(world.load())
        on_record.extend(
            f"{row.reservoir_id} {row.kind} {row.severity_name}" for row in journal.recent_alerts(9)
        )
        journal.close()
        return real(self, histories, now)

    monkeypatch.setattr(warning.cycle.Forecaster, "__call__", look)
    outcomes = world.cycle()
    assert on_record.count("upper raise emergency") == 1
    assert outcomes["upper"].alerts[0].kind is AlertKind.RAISE, "the early alert is part of the outcome"
    assert sum(alert.kind is AlertKind.RAISE for alert in outcomes["upper"].alerts) == 1
