"""What is said of the service tells what is wrong, since when, what it means and what to do."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from warning.alerts.expiry_notice import expiry_alert
from warning.alerts.service_messages import (
    Heartbeat,
    compose_heartbeat,
    compose_news,
    deliveries_of,
    span_text,
    title_of,
)
from warning.alerts.service_words import WORDS
from warning.alerts.sms import SMS_SEPTETS, septets
from warning.domain.alert import THE_SERVICE, Alert, AlertKind
from warning.domain.delivery import (
    Channel,
    ExpiredDeliveries,
    Message,
    MessageForm,
    Recipient,
    others_to_tell,
)
from warning.domain.reservoir import Severity
from warning.domain.troubles import StandingTrouble, Trouble, TroubleKind, TroubleNews

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "service"
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ALERT = Alert(
    kind=AlertKind.SERVICE,
    reservoir_id=THE_SERVICE,
    created_at=NOW,
    severity=None,
    previous_severity=None,
    follows=None,
    reasons=(),
    assessment=None,
    number=17,
)
DISK = Trouble(
    TroubleKind.DISK_LOW,
    "/var/lib/dam-warning",
    "The disk that holds /var/lib/dam-warning has 210 MB left, less than 500 MB (least_free_disk_mb).",
    "210 MB free",
)
CYCLE = Trouble(
    TroubleKind.CYCLE_OVERDUE,
    "cycle",
    "The cycle due 2026-11-22 07:00 IST did not come to its end: no dam has been looked at since.",
)
OLD = Trouble(TroubleKind.MODEL_OLD, "model", "The newest model was trained 70 days ago.", "70 days")
LOW = Severity(1, "advisory")


def since(trouble: Trouble, hours: float, **more: object) -> StandingTrouble:
    return replace(StandingTrouble(trouble, NOW - timedelta(hours=hours), NOW), **more)  # type: ignore[arg-type]


def news(
    fresh: tuple[StandingTrouble, ...] = (),
    reminded: tuple[StandingTrouble, ...] = (),
    over: tuple[StandingTrouble, ...] = (),
    others: tuple[StandingTrouble, ...] = (),
) -> TroubleNews:
    standing = (*fresh, *reminded, *others)
    return TroubleNews(fresh, reminded, over, standing, (*standing, *over))


ENDED = since(CYCLE, 6, gone_since=NOW - timedelta(hours=1), ended_at=NOW)
HEARTBEAT = Heartbeat(
    host="gate",
    made_at=NOW,
    needs=("Upper Dam is not watched: read its gauge by hand.", DISK.message),
    dams=(
        ("Upper Dam", "UNWATCHED; last known: WATCH (forecast, alert 12); no believed value"),
        ("Lower Dam", "calm; 271.30 m on Sat 21 Nov; forecast peak 271.60 m on Tue 24 Nov"),
    ),
    facts=(("Last cycle", "2026-11-22 01:30 UTC, complete"), ("History", "3 entries, head " + "ab" * 32)),
    version="1.0",
)
SCENES: dict[str, Message] = {
    "disk_low": compose_news(ALERT, news(fresh=(since(DISK, 0),)), "gate"),
    "several": compose_news(
        ALERT,
        news(
            (since(CYCLE, 0, again=True), since(DISK, 0)),
            (since(OLD, 49),),
            others=(
                since(Trouble(TroubleKind.CLOCK, "unsynchronised", "not synchronised"), 3, gone_since=NOW),
            ),
        ),
        "gate",
    ),
    "over": compose_news(ALERT, news(over=(ENDED,), others=(since(OLD, 30),)), "gate"),
    "heartbeat_needs": compose_heartbeat(ALERT, HEARTBEAT),
    "heartbeat_well": compose_heartbeat(ALERT, replace(HEARTBEAT, needs=(), dams=HEARTBEAT.dams[1:])),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_reads_as_its_golden_files(scene: str) -> None:
    message = SCENES[scene]
    forms = {
        "txt": f"Subject: {message.subject}\n\n{message.text}",
        "html": message.html,
        "sms": f"{message.sms}\n",
    }
    if os.environ.get("UPDATE_GOLDEN"):
        for suffix, content in forms.items():
            (GOLDEN / f"{scene}.{suffix}").write_text(content, encoding="utf-8")
    for suffix, content in forms.items():
        assert content == (GOLDEN / f"{scene}.{suffix}").read_text(encoding="utf-8")


def test_the_subject_says_which_host_and_what() -> None:
    assert SCENES["disk_low"].subject == "dam-warning on gate: disk nearly full (210 MB free)"
    assert SCENES["several"].subject == "dam-warning on gate: the daily cycle did not run and 2 more"
    assert SCENES["over"].subject == "dam-warning on gate: the daily cycle did not run: over"


def test_whoever_mended_an_edit_reads_that_it_is_in_force() -> None:
    refused = Trouble(TroubleKind.CONFIGURATION_REFUSED, "/etc/dam-warning", "It cannot be used.")
    ended = StandingTrouble(refused, NOW, NOW, gone_since=NOW, ended_at=NOW)
    subject = compose_news(ALERT, news(over=(ended,)), "gate").subject
    assert subject == "dam-warning on gate: the configuration is accepted and in force"
    assert SCENES["heartbeat_needs"].subject == "dam-warning on gate: 2 things need you"
    assert SCENES["heartbeat_well"].subject == "dam-warning on gate: all is well"


@pytest.mark.parametrize("form", ["text", "html"])
def test_what_is_over_says_how_long_it_lasted_and_what_else_stands(form: str) -> None:
    said = getattr(SCENES["over"], form)
    assert "5 hours" in said
    assert "the model is old" in said


@pytest.mark.parametrize("kind", TroubleKind)
def test_every_kind_says_what_it_means_for_the_watch_and_where_to_look(kind: TroubleKind) -> None:
    trouble = Trouble(kind, "retraining {x}", "something\n\r\nbroke <b>")
    message = compose_news(ALERT, news(fresh=(since(trouble, 0),)), "gate")
    assert title_of(trouble) in message.subject
    for said in (WORDS[kind].effect, WORDS[kind].command, "something\nbroke <b>", "Since:"):
        assert said in message.text
    assert "<b>something" not in message.html
    assert "broke &lt;b&gt;" in message.html
    assert septets(message.sms) <= SMS_SEPTETS
    assert message.sms.endswith("#17")


def test_a_host_whose_name_breaks_lines_breaks_no_header() -> None:
    assert "\n" not in compose_news(ALERT, news(fresh=(since(DISK, 0),)), "a\r\nBcc: x").subject


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=59), "under a minute"),
        (timedelta(seconds=-5), "under a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=3, minutes=20), "3 hours 20 minutes"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=5, hours=2, minutes=3), "5 days 2 hours"),
    ],
)
def test_spans_read_as_people_say_them(span: timedelta, words: str) -> None:
    assert span_text(span) == words


def recipient(
    name: str, *forms: MessageForm, findings: bool, dams: frozenset[str] | None = None
) -> Recipient:
    channels = tuple(Channel(form.value, form, f"x://{name}") for form in forms)
    return Recipient(
        id=name, name=name, channels=channels, least_severity=LOW, reservoirs=dams, findings=findings
    )


ANA = recipient("ana", MessageForm.EMAIL, MessageForm.SMS, findings=True, dams=frozenset({"upper"}))
BO = recipient("bo", MessageForm.SMS, findings=True)
CY = recipient("cy", MessageForm.EMAIL, findings=False)


def test_a_trouble_goes_by_sms_only_where_the_watch_is_blind_or_nothing_else_is_there() -> None:
    email, sms = ("ana", "email", MessageForm.EMAIL), ("ana", "sms", MessageForm.SMS)
    bo = ("bo", "sms", MessageForm.SMS)
    assert deliveries_of(ALERT, (ANA, BO, CY), by_sms=False) == (email, bo)
    assert deliveries_of(ALERT, (ANA, BO, CY), by_sms=True) == (email, sms, bo)
    assert deliveries_of(ALERT, (ANA, BO, CY), by_sms=False, sms_alone=False) == (email,)


def test_everybody_is_told_where_nobody_asked_for_findings() -> None:
    told = deliveries_of(ALERT, (replace(ANA, findings=False), CY), by_sms=False)
    assert [who for who, _, _ in told] == ["ana", "cy"]


def test_others_hear_of_a_trouble_that_did_not_arrive_and_of_no_missed_sign_of_life() -> None:
    missed = ExpiredDeliveries(alert=ALERT, message=SCENES["disk_low"], missed=(("ana", "email", "refused"),))
    notice = expiry_alert(missed, NOW)
    assert notice is not None
    assert (notice.kind, notice.reservoir_id) == (AlertKind.SERVICE, THE_SERVICE)
    assert [who for who, _, _ in others_to_tell(missed, (ANA, BO, CY))] == ["bo"]
    assert expiry_alert(replace(missed, alert=replace(ALERT, kind=AlertKind.HEARTBEAT)), NOW) is None
