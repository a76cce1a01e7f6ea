"""Who is told when an alert could not be delivered to someone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from warning.domain.alert import Alert, AlertKind
from warning.domain.delivery import (
    Channel,
    ExpiredDeliveries,
    Message,
    MessageForm,
    Recipient,
    others_to_tell,
)
from warning.domain.reservoir import Severity

LOW, HIGH = Severity(1, "advisory"), Severity(4, "emergency")


def recipient(name: str, least: Severity = LOW, reservoirs: frozenset[str] | None = None) -> Recipient:
    channels = (
        Channel("mail", MessageForm.EMAIL, f"mailto://{name}"),
        Channel("sms", MessageForm.SMS, f"sms://{name}"),
    )
    return Recipient(id=name, name=name, channels=channels, least_severity=least, reservoirs=reservoirs)


def missed(*who: str) -> ExpiredDeliveries:
    """Make an alert that was missed by each `recipient/channel`."""
    alert = Alert(
        kind=AlertKind.RAISE,
        reservoir_id="oroville",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
        severity=LOW,
        previous_severity=None,
        follows=None,
        reasons=(),
        assessment=None,
        number=1,
    )
    return ExpiredDeliveries(
        alert=alert,
        message=Message("subject", "text", "html", "sms"),
        missed=tuple((*way.split("/"), "refused") for way in who),
    )


ELSEWHERE = frozenset({"krs"})


@pytest.mark.parametrize(
    ("recipients", "who", "told"),
    [
        # whoever else was to get the alert
        ([recipient("jane"), recipient("omar")], ["jane/mail"], ["omar/mail", "omar/sms"]),
        # nobody else was: then the others at the dam, whatever severity they asked for
        ([recipient("jane"), recipient("omar", HIGH)], ["jane/mail"], ["omar/mail", "omar/sms"]),
        # nobody else is at the dam: then by the channels that are left
        ([recipient("jane"), recipient("omar", LOW, ELSEWHERE)], ["jane/mail"], ["jane/sms"]),
        # everybody missed it: again by the channels that are left
        ([recipient("jane"), recipient("omar")], ["jane/sms", "omar/sms"], ["jane/mail", "omar/mail"]),
        # no way is left
        ([recipient("jane")], ["jane/mail", "jane/sms"], []),
        # somebody who has left the configuration missed it
        ([recipient("omar")], ["ghost/mail"], ["omar/mail", "omar/sms"]),
    ],
)
def test_someone_else_is_told_by_the_best_way_left(
    recipients: list[Recipient], who: list[str], told: list[str]
) -> None:
    found = others_to_tell(missed(*who), recipients)
    assert [f"{name}/{channel}" for name, channel, _ in found] == told
