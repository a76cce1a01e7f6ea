"""Whatever answers come, in whatever order: a delivery is sent before it expires, or someone else is told."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.alerts.outbox import Outbox, Pace
from warning.clock import FixedClock
from warning.domain.alert import CALM, Alert, AlertKind
from warning.domain.delivery import (
    Channel,
    Composed,
    DeliveryState,
    Message,
    MessageForm,
    Recipient,
    RetryPolicy,
    SendResult,
    others_to_tell,
)
from warning.domain.findings import FindingKind
from warning.domain.reservoir import Severity
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
EXPIRY = timedelta(hours=24)
NAMES = ("jane", "omar", "tom")
OK = SendResult(ok=True, detail="accepted")
LATER = SendResult(ok=False, detail="451 later")
NO_WAY = SendResult(ok=False, detail="no valid address", permanent=True)
NEVER = threading.Event()
MEMORY = Path("/dev/shm")

answers = st.sampled_from(["ok", "later", "later", "no way", "raises", "killed"])
waits_s = st.sampled_from([0, 1, 30, 200, 4000, 40000])


class World:
    """One alert to three people, a clock that is set, and answers that were drawn."""

    def __init__(self, folder: Path, record: Path, script: dict[str, list[str]]) -> None:
        path = folder / "record.db"
        shutil.copy(record, path)
        self.journal = Journal.open(f"sqlite:///{path}")
        self.script = {name: list(drawn) for name, drawn in script.items()}
        self.recipients = [
            Recipient(
                id=name,
                name=name,
                channels=(Channel("mail", MessageForm.TEXT, name),),
                least_severity=Severity(1, "advisory"),
            )
            for name in NAMES
        ]
        self.now = NOW
        self.sends: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)

    def send(self, url: str, form: MessageForm, message: Message, png: Any, timeout_s: float) -> SendResult:
        drawn = self.script[url].pop(0) if self.script[url] else "later"
        self.sends[url, message.subject].append((self.now, drawn))
        if drawn == "raises":
            raise ValueError("surprise")
        return {"ok": OK, "later": LATER, "no way": NO_WAY}[drawn]

    def deliver(self) -> None:
        """What a daemon does between two waits; a drawn death leaves its claim behind."""
        channels = {(r.id, c.id): c for r in self.recipients for c in r.channels}
        for name in NAMES:
            if self.script[name][:1] == ["killed"]:
                self.script[name].pop(0)
                self.journal.claim_due(self.now, 1, 120.0)
        Outbox(
            self.journal,
            self.send,
            find_channel=lambda recipient_id, channel_id: channels.get((recipient_id, channel_id)),
            draw=lambda plot_data: None,
            who_else=lambda expired: others_to_tell(expired, self.recipients),
            clock=FixedClock(self.now),
            retry=RetryPolicy(),
            pace=Pace(poll_s=0.01),
        ).deliver_due(NEVER)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record that holds one alert to everybody and nothing sent."""
    path = tmp_path_factory.mktemp("record") / "record.db"
    journal = Journal.open(f"sqlite:///{path}")
    alert = Alert(
        kind=AlertKind.RAISE,
        reservoir_id="oroville",
        created_at=NOW,
        severity=Severity(4, "emergency"),
        previous_severity=None,
        follows=None,
        reasons=(),
        assessment=None,
    )
    entry = CycleEntry(
        cycle_id=journal.begin_cycle(NOW, "digest", None),
        reservoir_id="oroville",
        recorded_at=NOW,
        series=None,
        forecast=None,
        assessment=None,
        findings=(),
        alerts=(alert,),
        standing=CALM,
    )
    everybody = tuple((name, "mail", MessageForm.TEXT) for name in NAMES)
    journal.record(
        entry,
        lambda numbered: Composed(
            message=Message(f"Alert {numbered.number}", "text", "", ""),
            deliveries=everybody,
            expires_at=NOW + EXPIRY,
        ),
    )
    journal.close()
    return path


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({name: st.lists(answers, max_size=8) for name in NAMES}),
    st.lists(waits_s, min_size=1, max_size=8),
)
def test_a_delivery_is_sent_in_time_or_given_up_with_someone_told(
    record: Path, script: dict[str, list[str]], waits: list[int]
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(Path(folder), record, script)
        for wait_s in waits:
            world.now += timedelta(seconds=wait_s)
            world.deliver()
        for days in range(2, 12):  # long after everything, notices included, has expired
            world.now = NOW + timedelta(days=days)
            world.deliver()
        check(world)
        world.journal.close()


def check(world: World) -> None:
    alerts = {a.number: world.journal.alert_record(a.number) for a in world.journal.recent_alerts(99)}
    assert world.journal.recent_deliveries(99, unsettled=True) == []
    expired: list[str] = []
    for kept in alerts.values():
        assert kept is not None
        for delivery, attempts in kept.deliveries:
            sends = world.sends[delivery.recipient_id, kept.message.subject]
            late = [at for at, _ in sends if at >= kept.alert.created_at + EXPIRY]
            assert len(late) <= 1, "tried again after its time was over"
            assert sends, "given up without having been tried"
            delivered = [answer for _, answer in sends].count("ok")
            assert delivered == (1 if delivery.state is DeliveryState.SENT else 0)
            outcomes = [a.outcome for a in attempts]
            assert len(outcomes) == len(sends) + (delivery.state is DeliveryState.EXPIRED)
            if delivery.state is DeliveryState.EXPIRED and kept.alert.number == 1:
                expired.append(delivery.recipient_id)
    notices = [kept for kept in alerts.values() if kept is not None and kept.alert.number != 1]
    told_of = ", ".join(kept.alert.reasons[0] for kept in notices)
    assert all(name in told_of for name in expired)
    for kept in notices:
        assert [f.kind for f in kept.alert.findings] == [FindingKind.DELIVERY_EXPIRED]
        assert kept.alert.follows == 1
