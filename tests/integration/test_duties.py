"""What the daemon's jobs do with real parts: a record, files, a mailbox; only the time is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warning.domain.troubles import Trouble, TroubleKind
from warning.duties import UNRECORDED_LOOKS, Duties
from warning.errors import JournalError
from warning.forecasting.registry import ModelSummary, Registry
from warning.journal.journal import Journal
from warning.learning import training_due
from warning.status import read_status
from warning.wiring import wired

NOON = datetime(2024, 7, 18, 6, 30, tzinfo=UTC)  # in the world's time zone


@dataclass
class MadeClock:
    """A present and a monotonic clock that the test sets."""

    present: datetime = NOON
    passed_s: float = 1000.0

    def now(self) -> datetime:
        return self.present

    def monotonic_s(self) -> float:
        return self.passed_s


@contextmanager
def at_work(world: Any, clock: MadeClock | None = None) -> Iterator[tuple[Duties, MadeClock, Journal]]:
    clock = clock or MadeClock()
    with wired(world.load(), clock) as parts:
        yield Duties(parts, clock, threading.Event()), clock, parts.watch.journal


def edit(world: Any, old: str, new: str) -> None:
    path: Path = world.config / "reservoirs.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def kinds(journal: Journal) -> set[TroubleKind]:
    return {standing.trouble.kind for standing in journal.standing_troubles()}


def test_a_run_without_an_end_is_told_by_the_next_one(world: Any) -> None:
    with at_work(world) as (duties, clock, journal):
        duties.begin()
    with at_work(world, clock) as (duties, clock, journal):
        duties.begin()
        duties.look_after(())
        assert TroubleKind.RESTARTED in kinds(journal)
        duties.end()
    with at_work(world, clock) as (duties, clock, journal):
        clock.present += timedelta(hours=3)
        duties.begin()
        duties.look_after(())
        clock.present += timedelta(hours=3)
        duties.look_after(())
        assert TroubleKind.RESTARTED not in kinds(journal)


def test_a_cycle_dated_in_the_future_is_no_cycle_of_today(world: Any) -> None:
    with at_work(world) as (duties, clock, _):
        assert duties.last_cycle_at() is None
        assert duties.cycle()
        assert duties.last_cycle_at() == clock.present
        clock.present -= timedelta(days=2)
        assert duties.last_cycle_at() is None
        assert duties.cycle()
        assert duties.last_cycle_at() == clock.present


def test_what_is_found_goes_out_as_a_message_with_its_remedy(world: Any) -> None:
    with at_work(world) as (duties, _, journal):
        duties.cycle()
        duties.look_after((Trouble(TroubleKind.JOB_FAILED, "poll", "The look for new readings failed."),))
        duties.deliver()
        assert TroubleKind.JOB_FAILED in kinds(journal)
        assert duties.troubles_standing() >= 1
    assert any(subject.startswith("dam-warning on") for subject in world.subjects())


def test_a_record_that_cannot_be_written_is_told_past_it_after_a_while(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise JournalError("the disk is full")

    with at_work(world) as (duties, _, _journal):
        monkeypatch.setattr(Journal, "tell_troubles", refuse)
        for looks in range(1, UNRECORDED_LOOKS + 3):
            with pytest.raises(JournalError):
                duties.look_after(())
            sent = [s for s in world.subjects() if "nothing can be recorded" in s]
            assert len(sent) == (1 if looks >= UNRECORDED_LOOKS else 0)


def test_a_valid_edit_is_adopted_put_on_record_and_kept_as_the_last_good_one(world: Any) -> None:
    with at_work(world) as (duties, clock, journal):
        duties.begin()
        assert duties.reload() is None  # as it is in force already
        edit(world, "value = 42.0", "value = 42.5")
        assert not duties.files_changed(clock.passed_s)
        assert duties.files_changed(clock.passed_s + 10)
        adopted = duties.reload()
        assert adopted is not None
        assert adopted.judged_anew
        duties.cycle()
        newest = journal.last_cycle()
        assert newest is not None
        assert newest.configuration_digest == world.load().digest
        assert {entry.change.reservoir_id for entry in journal.changes(2)} == {"upper", "lower"}


def test_another_mail_server_needs_no_new_look_at_the_dams(world: Any) -> None:
    with at_work(world) as (duties, _, _journal):
        path = world.config / "warning.toml"
        path.write_text(path.read_text().replace("delivery_every_s = 1", "delivery_every_s = 7"))
        adopted = duties.reload()
        assert adopted is not None
        assert not adopted.judged_anew
        assert duties.plan().delivery_every_s == 7


def test_an_invalid_edit_is_told_with_every_problem_and_ends_when_mended(world: Any) -> None:
    with at_work(world) as (duties, _, journal):
        edit(world, 'severity = "warning"', 'severity = "wraning"')
        before = duties.plan()
        assert duties.reload() is None
        assert duties.plan() == before
        duties.look_after(())
        (standing,) = [
            s for s in journal.standing_troubles() if s.trouble.kind is TroubleKind.CONFIGURATION_REFUSED
        ]
        assert "wraning" in standing.trouble.message
        assert standing.trouble.key == str(world.config)
        edit(world, 'severity = "wraning"', 'severity = "warning"')
        assert duties.reload() is None
        assert TroubleKind.CONFIGURATION_REFUSED not in duties._own


def test_an_edit_is_in_force_by_the_record_as_soon_as_it_is_adopted(world: Any) -> None:
    with at_work(world) as (duties, clock, journal):
        duties.begin()
        duties.cycle()
        path = world.config / "warning.toml"
        path.write_text(path.read_text().replace("delivery_every_s = 1", "delivery_every_s = 7"))
        assert duties.reload() is not None
        report = read_status(world.load(), journal, Registry(world.folder), clock.present)
        assert report.digest_in_force == world.load().digest


def test_an_edit_that_apprise_cannot_send_to_is_refused(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_work(world) as (duties, _, _journal):
        monkeypatch.setattr("warning.wiring.problem_with", lambda url: "no such service")
        path = world.config / "recipients.toml"
        path.write_text(path.read_text().replace("control.room@", "night.shift@"))
        assert duties.reload() is None
        assert "no such service" in duties._own[TroubleKind.CONFIGURATION_REFUSED].message


def test_an_edit_that_cannot_be_put_on_record_changes_nothing_and_is_tried_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    world.write_readings("upper", world.crossing(42.5))
    with at_work(world) as (duties, clock, _journal):
        duties.cycle()
        path = world.config / "recipients.toml"
        path.write_text(path.read_text().replace("control.room@", "night.shift@"))
        assert not duties.files_changed(clock.passed_s)
        assert duties.files_changed(clock.passed_s + 10)
        clock.passed_s += 10
        with monkeypatch.context() as full:
            full.setattr(Journal, "add_changes", refuse)
            with pytest.raises(JournalError):
                duties.reload()
        duties.deliver()  # by what is in force
        assert {mail.recipients[0] for mail in world.mailbox.messages()} == {"control.room@example.org"}
        clock.passed_s += 70
        assert duties.files_changed(clock.passed_s)
        assert duties.reload() is not None


def test_a_record_that_takes_nothing_at_the_start_does_not_stop_it(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise JournalError("another process has held it locked for more than 30 s")

    with monkeypatch.context() as locked:
        for write in ("keep_configuration", "begin_run", "add_changes"):
            locked.setattr(Journal, write, refuse)
        context = at_work(world)
        duties, _, journal = context.__enter__()
        duties.begin()
    assert journal.last_run() is None
    duties.look_after(())
    assert journal.last_run() is not None
    assert journal.changes(1)
    context.__exit__(None, None, None)


def test_an_edited_address_holds_for_what_is_sent_next(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    with at_work(world) as (duties, _, _journal):
        duties.cycle()
        path = world.config / "recipients.toml"
        path.write_text(path.read_text().replace("control.room@", "night.shift@"))
        assert duties.reload() is not None
        duties.deliver()
    assert world.mailbox.messages()
    assert all("night.shift@" in mail.recipients[0] for mail in world.mailbox.messages())


def test_the_heartbeat_is_sent_like_any_message(world: Any) -> None:
    with at_work(world) as (duties, _, _journal):
        duties.cycle()
        duties.heartbeat()
        duties.deliver()
    assert any(subject.startswith("dam-warning on") for subject in world.subjects())


def model(created_at: datetime | None, *, active: bool = False) -> ModelSummary:
    return ModelSummary("m", created_at, ("upper",), 0.5, active)


@pytest.mark.parametrize(
    ("models", "due"),
    [
        ((), False),
        ((model(NOON - timedelta(days=31)),), False),
        ((model(NOON - timedelta(days=31), active=True),), True),
        ((model(NOON - timedelta(days=29), active=True),), False),
        ((model(NOON - timedelta(days=90), active=True), model(NOON - timedelta(days=3))), False),
        ((model(NOON - timedelta(days=90), active=True), model(NOON + timedelta(days=300))), True),
        ((model(None, active=True),), True),
    ],
    ids=["none", "none in force", "old", "young", "beaten lately", "from the future", "unreadable"],
)
def test_a_training_is_due_when_the_newest_one_is_old(
    world: Any, monkeypatch: pytest.MonkeyPatch, models: tuple[ModelSummary, ...], due: bool
) -> None:
    monkeypatch.setattr(Registry, "list", lambda _: models)
    assert training_due(Registry(world.folder), NOON, 30) is due


def test_a_training_that_fails_is_told_and_tried_again_the_next_day(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "list", lambda _: (model(NOON - timedelta(days=90), active=True),))
    (world.config / "readings" / "upper.csv").write_text("date,level_m\n2024-07-18,30.0\n")
    (world.config / "readings" / "lower.csv").write_text("date,level_m\n2024-07-18,30.0\n")
    with at_work(world) as (duties, clock, _journal):
        duties.retrain()
        trouble = duties._own[TroubleKind.TRAINING_FAILED]
        assert "could not be trained" in trouble.message
        duties._own[TroubleKind.TRAINING_FAILED] = replace(trouble, message="as before")
        duties.retrain()
        assert duties._own[TroubleKind.TRAINING_FAILED].message == "as before"
        clock.passed_s += 25 * 3600
        duties.retrain()
        assert duties._own[TroubleKind.TRAINING_FAILED].message != "as before"
