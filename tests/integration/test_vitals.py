"""What the endpoints say of a real record, before and after a cycle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from warning.domain.troubles import Trouble, TroubleKind
from warning.ops.metrics import HealthView, exposition
from warning.vitals import vital_signs
from warning.wiring import open_journal, registry_of

LOW = Trouble(TroubleKind.DISK_LOW, "/", "The disk is nearly full: make room.")


def seen(world: Any, now: datetime, *troubles: Trouble) -> HealthView:
    configuration = world.load()
    journal = open_journal(configuration)
    try:
        return vital_signs(configuration, journal, registry_of(configuration), troubles, now)
    finally:
        journal.close()


def noon(world: Any) -> datetime:
    return datetime(world.today.year, world.today.month, world.today.day, 6, 30, tzinfo=UTC)


def test_before_the_first_cycle_nothing_is_watched_and_nothing_invented(world: Any) -> None:
    view = seen(world, noon(world))
    assert not view.well
    assert [dam.unwatched for dam in view.dams] == [True, True]
    assert view.last_cycle is None
    assert view.last_complete_at is None
    assert view.model_age_s is None
    assert view.queue.oldest_age_s is None
    assert b"dam_warning_unwatched" in exposition(lambda: view)()


def test_after_a_cycle_the_view_holds_what_was_found_and_what_waits(world: Any) -> None:
    world.write_readings("upper", world.crossing(42.5))
    world.cycle(deliver=False)
    view = seen(world, noon(world) + timedelta(hours=1))
    ranks = {dam.reservoir_id: dam.severity_rank for dam in view.dams}
    assert ranks["upper"] > ranks["lower"] == 0
    assert [dam.newest_reading_age_s for dam in view.dams] == [0.0, 0.0]  # the day is not over
    assert view.last_complete_at == noon(world)
    assert view.last_cycle is not None
    assert view.last_cycle.complete
    assert (view.queue.pending > 0, view.queue.failed, view.queue.oldest_age_s) == (True, 0, 3600.0)
    assert view.disk_free_bytes is not None
    assert view.well


def test_a_trouble_that_stands_is_said_and_counted_by_kind(world: Any) -> None:
    world.cycle()
    view = seen(world, noon(world), LOW)
    assert not view.well
    assert view.troubles == (LOW.message,)
    assert view.trouble_counts == {"disk-low": 1}


def test_a_reading_ages_from_the_end_of_its_day_by_the_dams_clock(world: Any) -> None:
    world.cycle()
    view = seen(world, noon(world) + timedelta(days=1))
    assert [dam.newest_reading_age_s for dam in view.dams] == [12 * 3600.0] * 2  # noon by the dam's clock
