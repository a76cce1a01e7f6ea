"""What the others are told when an alert could not be delivered to someone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape

from warning.alerts.sms import SMS_SEPTETS, septets, shorten, to_gsm7
from warning.alerts.wording import one_line
from warning.domain.alert import Alert, AlertKind
from warning.domain.delivery import ExpiredDeliveries, Message
from warning.domain.findings import Finding, FindingKind


def expiry_alert(expired: ExpiredDeliveries, now: datetime) -> Alert | None:
    """Return the alert to make of deliveries that were given up; None for such an alert, or a sign of life.

    It carries the severity of the alert that was missed, so that it goes out with the same urgency.
    """
    missed = expired.alert
    if missed.kind is AlertKind.HEARTBEAT:  # the next one follows in a day
        return None
    if any(finding.kind is FindingKind.DELIVERY_EXPIRED for finding in missed.findings):
        return None
    words = f"Alert {missed.number} could not be delivered to {_names(expired)}."
    return Alert(
        kind=AlertKind.SERVICE if missed.kind is AlertKind.SERVICE else AlertKind.FINDING,
        reservoir_id=missed.reservoir_id,
        created_at=now,
        severity=missed.severity,
        previous_severity=missed.previous_severity,
        follows=missed.number,
        reasons=(words,),
        assessment=None,
        findings=(Finding(FindingKind.DELIVERY_EXPIRED, words, missed.reservoir_id),),
    )


def expiry_message(alert: Alert, expired: ExpiredDeliveries) -> Message:
    """Put the numbered notice `alert` into words; it repeats what the missed alert said."""
    causes = [
        f"- {who} by {channel}: {one_line(why) or 'never tried'}" for who, channel, why in expired.missed
    ]
    head = [
        f"Alert {expired.alert.number} could not be delivered to {_names(expired)}.",
        "Tell them by other means if they have to act.",
    ]
    foot = f"This is alert {alert.number}. It follows alert {alert.follows}, which said:"
    text = "\n".join([*head, "", *causes, "", foot, "", expired.message.text])
    return Message(
        subject=f"NOT DELIVERED to {_names(expired)}: {one_line(expired.message.subject)}",
        text=text,
        html=_html(head, causes, foot, expired.message.text),
        sms=_sms(alert, expired),
    )


def _names(expired: ExpiredDeliveries) -> str:
    return ", ".join(dict.fromkeys(one_line(who) for who, _, _ in expired.missed))


def _html(head: Iterable[str], causes: Iterable[str], foot: str, said: str) -> str:
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in (*head, *causes, foot))
    return f"<html><body>{paragraphs}<pre>{escape(said)}</pre></body></html>"


def _sms(alert: Alert, expired: ExpiredDeliveries) -> str:
    tail = f" #{alert.number}"
    told = (
        f"NOT DELIVERED alert {expired.alert.number} to {shorten(to_gsm7(_names(expired)), 50)}. Tell them."
    )
    return shorten(f"{told} {to_gsm7(expired.message.sms)}", SMS_SEPTETS - septets(tail)) + tail
