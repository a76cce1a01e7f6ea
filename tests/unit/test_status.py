"""Status says first what needs a person and since when, and needs no daemon for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warning.cli import main
from warning.config.configuration import Configuration
from warning.config.last_good import keep_last_good
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.domain.alert import CALM
from warning.domain.assessment import Assessment
from warning.domain.delivery import MessageForm, SendResult
from warning.domain.readings import ReadingSeries
from warning.domain.troubles import Trouble, TroubleKind
from warning.health import tell
from warning.heartbeat import MOST_DAMS, heartbeat_of, send_heartbeat
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal
from warning.status import StatusReport, read_status
from warning.wiring import open_journal, registry_of

NOW = datetime(2026, 5, 5, 2, 0, tzinfo=UTC)  # 07:30 in India, half an hour after the cycle was due
BEGAN = NOW - timedelta(minutes=29, seconds=59)
HOUR = timedelta(hours=1)
LATER = NOW + HOUR
DAY = date(2026, 5, 4)
Read = Callable[..., StatusReport]


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


@pytest.fixture
def read(configuration: Configuration, journal: Journal) -> Read:
    def reading(at: datetime = LATER, **more: Any) -> StatusReport:
        return read_status(configuration, journal, registry_of(configuration), at, **more)

    return reading


def cycle(
    journal: Journal,
    configuration: Configuration,
    *,
    failures: int | None = 0,
    early: bool = False,
    unwatched: frozenset[str] = frozenset(),
    digest: str | None = None,
) -> None:
    """Put a cycle on record that saw every dam; one without `failures` was cut off."""
    number = journal.begin_cycle(BEGAN, digest or configuration.digest, None)
    for reservoir in configuration.reservoirs:
        blind = reservoir.id in unwatched
        flags = {reservoir.forecast_variable: np.zeros(1, dtype=np.uint16)}
        assessment = Assessment(
            reservoir_id=reservoir.id,
            assessed_at=NOW,
            severity=None,
            holding=None,
            evidence=None,
            threshold=None,
            unwatched="no readings" if blind else None,
            observed_value=None if blind else 60.5,
            observed_day=None if blind else DAY,
            unconfirmed=False,
            rise_per_day=None,
            probability=None,
            first_day=None,
            peak_value=61.25,
            peak_day=DAY + timedelta(days=3),
            outlooks=(),
            skill=None,
            degraded=(),
            variable=reservoir.forecast_variable,
        )
        entry = CycleEntry(
            cycle_id=number,
            reservoir_id=reservoir.id,
            recorded_at=NOW,
            series=ReadingSeries(DAY, {reservoir.forecast_variable: np.full(1, 60.5)}, flags, flags),
            forecast=None,
            assessment=assessment,
            findings=(),
            alerts=(),
            standing=replace(CALM, unwatched=blind),
        )
        journal.record(entry, lambda alert: pytest.fail("no alert is made"))
    if failures is not None:
        counts = {"reservoirs": 3, "forecasts": 3, "unwatched": 0, "alerts": 0, "failures": failures}
        journal.close_cycle(number, NOW, early=early, **counts)


@pytest.mark.parametrize(
    ("failures", "early", "words"),
    [
        (0, False, ()),
        (1, False, ("could not judge every dam",)),
        (0, True, ("did not come to its end", "was cut off")),
        (None, False, ("did not come to its end", "was cut off")),
    ],
    ids=["complete", "a dam failed", "only the early look", "cut off"],
)
def test_only_a_cycle_that_did_its_whole_work_is_no_trouble(
    configuration: Configuration,
    journal: Journal,
    read: Read,
    failures: int | None,
    early: bool,
    words: tuple[str, ...],
) -> None:
    cycle(journal, configuration, failures=failures, early=early)
    troubles = read().troubles
    assert len(troubles) == len(words)
    for trouble, word in zip(troubles, words, strict=True):
        assert word in trouble


def test_all_is_well_is_the_first_line_where_nothing_needs_a_person(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    cycle(journal, configuration)
    report = read()
    assert report.well
    lines = report.text().splitlines()
    assert lines[0] == "All is well."
    dam = next(line for line in lines if configuration.reservoirs[0].name in line)
    assert "calm; 60.50 m on Mon 4 May; forecast peak 61.25 m on Thu 7 May" in dam


def test_what_needs_a_person_comes_first_with_since_when(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    first = configuration.reservoirs[0]
    cycle(journal, configuration, unwatched=frozenset({first.id}))
    hangs = Trouble(TroubleKind.JOB_HANGS, "poll", "The job poll hangs.")
    tell((hangs,), journal, configuration.recipients, configuration.retry, LATER - 30 * HOUR, "gate")
    tell((hangs,), journal, configuration.recipients, configuration.retry, LATER, "gate")
    lines = read().text().splitlines()
    assert lines[0].endswith("things need you:")
    assert "  ! The job poll hangs." in lines
    assert (
        lines[lines.index("  ! The job poll hangs.") + 1].strip()
        == "since 2026-05-04 02:30 IST, for 1 day 6 hours"
    )
    assert f"  ! {first.name} is not watched: read its gauge by hand." in lines
    assert lines.index("Dams:") > lines.index(f"  ! {first.name} is not watched: read its gauge by hand.")


def test_what_the_record_says_and_status_can_see_itself_is_as_status_sees_it(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    cycle(journal, configuration)
    mended = Trouble(TroubleKind.DISK_LOW, str(configuration.state_directory), "10 MB left.")
    gone = Trouble(TroubleKind.JOB_FAILED, "poll", "The job poll failed.")
    tell((mended, gone), journal, (), configuration.retry, NOW, "gate")
    tell((mended,), journal, (), configuration.retry, LATER, "gate")
    assert read().troubles == ()


def test_a_delivery_that_failed_is_named_with_its_cause_and_the_oldest_with_its_age(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    cycle(journal, configuration)
    alarm = Trouble(TroubleKind.RESTARTED, "run", "It was cut off.")
    tell((alarm,), journal, configuration.recipients, configuration.retry, NOW, "gate")
    due = journal.claim_due(NOW, 1, 60)[0]
    journal.mark_failed(due, SendResult(False, "connection refused"), NOW, LATER + HOUR)
    report = read()
    assert any("after 1 attempt: connection refused" in trouble for trouble in report.troubles)
    assert dict(report.facts)["Undelivered"].endswith("the oldest for 1 hour")
    assert report.to_json()["oldest_undelivered_at"] == NOW.isoformat()


@pytest.mark.parametrize(
    ("digest", "words"),
    [(None, "in force"), ("f" * 64, "ffffffffffff in force by the record; ")],
)
def test_the_configuration_in_force_is_held_against_the_one_on_disk(
    configuration: Configuration, journal: Journal, read: Read, digest: str | None, words: str
) -> None:
    cycle(journal, configuration, digest=digest)
    said = dict(read().facts)["Configuration"]
    assert words in said
    assert said.endswith("is not yet taken over") == (digest is not None)
    assert configuration.digest[:12] in said


def test_a_refused_edit_is_told_while_the_last_good_configuration_is_used(
    configuration: Configuration, journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_last_good(configuration)
    cycle(journal, configuration)
    with (tmp_path / "warning.toml").open("a") as file:
        file.write("\nnonsense = 1\n")
    assert main.main(["status", "--config", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "nonsense" in said
    assert "is refused" in said
    assert main.main(["status", "--json", "--config", str(tmp_path)]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain["configuration"] == {"digest": None, "refused": True, "in_force": configuration.digest}
    assert plain["matters"][0]["kind"] in ("cycle-overdue", "source-old")
    assert set(plain["dams"]) == {reservoir.id for reservoir in configuration.reservoirs}


def test_the_run_and_the_head_of_the_history_are_named(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    cycle(journal, configuration)
    assert dict(read().facts)["Daemon"] == "has never run"
    run = journal.begin_run(NOW, "1.2", configuration.digest)
    assert "by the record, version 1.2" in dict(read().facts)["Daemon"]
    journal.end_run(run, LATER)
    assert dict(read().facts)["Daemon"].startswith("stopped in order")
    assert dict(read().facts)["History"] == "empty"
    added = journal.add_changes({(None, "a"): "1"}, at=NOW, who="ana", note=None, digest="d")
    assert added[-1].hash in dict(read().facts)["History"]


def test_a_dam_that_was_never_looked_at_says_so(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    assert [dam.words for dam in read().dams] == ["never looked at"] * len(configuration.reservoirs)


def test_the_sign_of_life_goes_by_mail_with_every_dam_and_what_needs_a_person(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    first = configuration.reservoirs[0]
    cycle(journal, configuration, unwatched=frozenset({first.id}))
    alert = send_heartbeat(read(), journal, configuration.recipients, configuration.retry, "gate")
    due = journal.claim_due(LATER, 99, 60)
    assert {d.alert_number for d in due} == {alert.number}
    assert MessageForm.SMS not in {d.form for d in due}
    message = due[0].message
    assert message.subject == "dam-warning on gate: 1 thing needs you"
    for reservoir in configuration.reservoirs:
        assert reservoir.name in message.text
        assert reservoir.name in message.html
    assert journal.standing_troubles() == ()


def test_of_a_large_fleet_the_dams_that_are_not_calm_are_named(
    configuration: Configuration, journal: Journal, read: Read
) -> None:
    cycle(journal, configuration)
    report = read()
    calm = report.dams[0]
    odd = replace(calm, standing=replace(CALM, unwatched=True))
    fleet = replace(report, dams=(*(calm for _ in range(MOST_DAMS + 9)), odd))
    told = heartbeat_of(fleet, "gate").dams
    assert len(told) == MOST_DAMS + 1
    assert "UNWATCHED" in told[0][1]
    assert told[-1] == ("and 10 more", "10 of them calm; see `dam-warning status`")
