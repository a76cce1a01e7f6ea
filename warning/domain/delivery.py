"""Who is told, in which form, and how a delivery fares until it is sent or given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from warning.domain.alert import Alert, AlertKind
from warning.domain.reservoir import Severity


class MessageForm(StrEnum):
    """The shape a channel can carry: mail with HTML and plot, a short text, or plain text."""

    EMAIL = "email"
    SMS = "sms"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to reach a recipient. `url`, an Apprise URL, holds secrets: never logged, never recorded."""

    id: str
    form: MessageForm
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A person or desk. `reservoirs` None means every dam; `findings` asks for operational findings too."""

    id: str
    name: str
    channels: tuple[Channel, ...]
    least_severity: Severity
    reservoirs: frozenset[str] | None = None
    findings: bool = False

    def watches(self, reservoir_id: str) -> bool:
        return self.reservoirs is None or reservoir_id in self.reservoirs


class DeliveryState(StrEnum):
    """pending → sent, or → failed (will be retried) → sent or expired."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Message:
    """An alert in words, in all forms; the plot is drawn when the mail goes out."""

    subject: str
    text: str
    html: str
    sms: str


@dataclass(frozen=True, slots=True)
class SendResult:
    """How one attempt ended. `permanent` means another attempt cannot help; `detail` holds no secret."""

    ok: bool
    detail: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff between attempts and the age at which a delivery is given up."""

    first_wait_s: float = 30.0
    factor: float = 2.0
    longest_wait_s: float = 1800.0
    expire_after_hours: float = 24.0

    def next_attempt_at(self, attempts_made: int, now: datetime) -> datetime:
        """Return when to try again after `attempts_made` (≥ 1) failures."""
        exponent = min(max(attempts_made, 1) - 1, 32)
        wait_s = min(self.first_wait_s * self.factor**exponent, self.longest_wait_s)
        return now + timedelta(seconds=wait_s)


def recipients_of(alert: Alert, recipients: Iterable[Recipient]) -> tuple[Recipient, ...]:
    """Return those who must be told of `alert`.

    Whoever was told that a severity stands is also told when it falls: the higher of the two
    severities decides. An unwatched dam concerns everyone who watches it. A finding goes to
    those who asked for findings, and to everyone at that dam if nobody did.
    """
    watching = [r for r in recipients if r.watches(alert.reservoir_id)]
    if alert.kind in (AlertKind.UNWATCHED, AlertKind.WATCHED_AGAIN):
        return tuple(watching)
    if alert.kind is AlertKind.FINDING:
        asked = tuple(r for r in watching if r.findings)
        return asked or tuple(watching)
    severities = [s for s in (alert.severity, alert.previous_severity) if s is not None]
    highest = max(severities, default=None)
    if highest is None:
        return tuple(watching)
    return tuple(r for r in watching if r.least_severity <= highest)
