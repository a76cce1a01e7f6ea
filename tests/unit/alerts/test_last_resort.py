"""Telling people without the record: each as far as it concerns them, and no server holds up another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from warning.alerts.last_resort import (
    UNRECORDED,
    LastResort,
    crossings_message,
    direct_message,
    tell_directly,
)
from warning.alerts.sms import SMS_SEPTETS, septets
from warning.domain.assessment import Assessment, Evidence
from warning.domain.delivery import Channel, Message, MessageForm, Recipient, SendResult
from warning.domain.reservoir import LevelThreshold, Reservoir, Severity
from warning.domain.variables import Variable

NOW = datetime(2017, 2, 11, 3, 0, tzinfo=UTC)
WATCH, WARNING, EMERGENCY = (Severity(n, name) for n, name in enumerate(("watch", "warning", "emergency"), 1))
MESSAGE = direct_message("subject", ["words"], "short")


def recipient(
    name: str, *urls: str, least: Severity = WATCH, dams: frozenset[str] | None = None
) -> Recipient:
    channels = tuple(Channel(f"channel {n}", MessageForm.TEXT, url) for n, url in enumerate(urls))
    return Recipient(id=name, name=name, channels=channels, least_severity=least, reservoirs=dams)


class Post:
    """Stands in for Apprise, so that servers can hang and fail by the hundred: the URL says what they do."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.release = threading.Event()

    def __call__(
        self, url: str, form: MessageForm, message: Message, png: bytes | None, timeout_s: float
    ) -> SendResult:
        if url == "hangs":
            self.release.wait()
        if url == "raises":
            raise RuntimeError("hunter2")
        self.sent.append((url, message))
        return SendResult(ok=url != "fails", detail="refused" if url == "fails" else "accepted")


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    yield made
    made.release.set()


def test_one_way_that_works_is_enough_and_each_that_does_not_is_named(post: Post) -> None:
    told = tell_directly([recipient("maria", "fails", "works"), recipient("joe", "raises")], MESSAGE, post)
    assert told
    assert told.reached == ("maria",)
    assert [(who, channel) for who, channel, _ in told.failures] == [
        ("maria", "channel 0"),
        ("joe", "channel 0"),
    ]
    assert "hunter2" not in str(told.failures)


def test_a_hundred_servers_that_hang_keep_nobody_from_being_told(post: Post) -> None:
    people = [*(recipient(f"lost {n}", "hangs") for n in range(100)), recipient("maria", "works")]
    told = tell_directly(people, MESSAGE, post, slow_after_s=0.01, deadline_s=2)
    assert told.reached == ("maria",)
    assert len(told.failures) == 100
    assert told.failures[0][2] == "no answer within 2 s"


def test_nobody_to_tell_is_nobody_told(post: Post) -> None:
    assert not tell_directly([], MESSAGE, post)
    assert not tell_directly([recipient("mute")], MESSAGE, post)


def dam(name: str) -> Reservoir:
    return Reservoir(
        id=name,
        name=f"Dam {name}",
        time_zone=ZoneInfo("UTC"),
        datum="",
        forecast_variable=Variable.LEVEL_M,
        limits={},
        level_thresholds=(LevelThreshold("crest", EMERGENCY, 42.0, 41.0),),
    )


def crossing(name: str, severity: Severity, value: float = 43.0) -> tuple[Reservoir, Assessment]:
    made = dam(name)
    found = Assessment(
        reservoir_id=name,
        assessed_at=NOW,
        severity=severity,
        holding=severity,
        evidence=Evidence.OBSERVED,
        threshold=made.level_thresholds[0],
        unwatched=None,
        observed_value=value,
        observed_day=date(2017, 2, 10),
        unconfirmed=False,
        rise_per_day=None,
        probability=None,
        first_day=date(2017, 2, 10),
        peak_value=value,
        peak_day=date(2017, 2, 10),
        outlooks=(),
        skill=None,
        degraded=(),
        variable=Variable.LEVEL_M,
    )
    return made, found


def test_each_hears_of_the_dams_and_severities_that_concern_them(post: Post) -> None:
    people = [
        recipient("all", "all"),
        recipient("grave", "grave", least=EMERGENCY),
        recipient("north", "north", dams=frozenset({"north"})),
        recipient("nobody", "nobody", dams=frozenset({"elsewhere"})),
    ]
    crossings = [crossing("north", WATCH), crossing("south", EMERGENCY)]
    told = LastResort(post, "host").tell(crossings, people, "the disk is full.", NOW)
    texts = {url: message.text for url, message in post.sent}
    assert set(told.reached) == {"all", "grave", "north"}
    assert {url: ("Dam north" in text, "Dam south" in text) for url, text in texts.items()} == {
        "all": (True, True),
        "grave": (False, True),
        "north": (True, False),
    }
    assert all(UNRECORDED in text and "the disk is full." in text for text in texts.values())


def test_the_gravest_comes_first_and_the_short_message_says_how_many_more(post: Post) -> None:
    message = crossings_message([crossing(f"d{n}", WATCH) for n in range(60)] + [crossing("x", EMERGENCY)],
                                "host", "the disk is full.", NOW)  # fmt: skip
    assert message.subject.startswith("EMERGENCY observed: Dam x")
    assert message.subject.endswith("and 60 more (not on record)")
    assert message.sms.startswith("EMERGENCY OBSERVED Dam x")
    assert message.sms.endswith("NOT ON RECORD")
    assert septets(message.sms) <= SMS_SEPTETS


def test_the_same_dam_and_severity_is_told_once_in_six_hours(post: Post) -> None:
    last_resort, people = LastResort(post, "host"), [recipient("maria", "works")]
    for hours in (0, 1, 5.9, 6, -1):
        last_resort.tell([crossing("north", WARNING)], people, "", NOW + timedelta(hours=hours))
    assert len(post.sent) == 3  # at first, after six hours, and after the clock was set back
    last_resort.tell([crossing("north", EMERGENCY)], people, "", NOW)
    assert len(post.sent) == 4


def test_what_reached_nobody_is_not_taken_for_told(post: Post) -> None:
    last_resort = LastResort(post, "host")
    assert not last_resort.tell([crossing("north", WARNING)], [recipient("maria", "fails")], "", NOW)
    assert last_resort.tell([crossing("north", WARNING)], [recipient("maria", "works")], "", NOW)


def test_what_crossed_nothing_is_told_to_nobody(post: Post) -> None:
    made, found = crossing("north", WARNING)
    calm = (made, replace(found, severity=None))
    assert not LastResort(post, "host").tell([calm], [recipient("maria", "works")], "", NOW)
    assert post.sent == []
