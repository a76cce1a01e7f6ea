"""Who is told, in which form, and how a delivery fares until it is sent or given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from warning.domain.alert import THE_SERVICE, Alert, AlertKind
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
        """Whether the dam is this recipient's; the service is everyone's."""
        return self.reservoirs is None or reservoir_id in self.reservoirs or reservoir_id == THE_SERVICE


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """An alert put into words and the deliveries it needs: (recipient id, channel id, form) each.

    `plot_data` is JSON from which the plot is drawn at delivery; None: the alert has no plot.
    """

    message: Message
    deliveries: tuple[tuple[str, str, MessageForm], ...]
    expires_at: datetime
    plot_data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """A delivery claimed for one attempt. `claim` numbers its claims: a later one outdates this one."""

    id: int
    claim: int
    claimed_at: datetime
    alert_number: int
    reservoir_id: str
    recipient_id: str
    channel_id: str
    form: MessageForm
    message: Message
    plot_data: str | None
    attempts: int  # made before this one
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredDeliveries:
    """The deliveries of one alert that were given up together: who missed it, by which channel, and why."""

    alert: Alert
    message: Message
    missed: tuple[tuple[str, str, str], ...]  # (recipient id, channel id, last error)

    @property
    def recipient_ids(self) -> frozenset[str]:
        return frozenset(recipient for recipient, _, _ in self.missed)


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
    severities decides. An unwatched dam concerns everyone who watches it. A finding, and what is
    said of the service, goes to those who asked for findings, and to everyone there if nobody did.
    """
    watching = [r for r in recipients if r.watches(alert.reservoir_id)]
    if alert.kind in (AlertKind.UNWATCHED, AlertKind.WATCHED_AGAIN):
        return tuple(watching)
    if alert.kind in (AlertKind.FINDING, AlertKind.SERVICE, AlertKind.HEARTBEAT):
        asked = tuple(r for r in watching if r.findings)
        return asked or tuple(watching)
    severities = [s for s in (alert.severity, alert.previous_severity) if s is not None]
    highest = max(severities, default=None)
    if highest is None:
        return tuple(watching)
    return tuple(r for r in watching if r.least_severity <= highest)


def others_to_tell(
    expired: ExpiredDeliveries, recipients: Iterable[Recipient]
) -> tuple[tuple[str, str, MessageForm], ...]:
    """Return (recipient id, channel id, form) of those who are told that a delivery was given up.

    Whoever else was to get the alert; if nobody, everyone else at the dam; if there is nobody
    else, the remaining channels of those who missed it. Empty only when no way is left.
    """
    everyone = tuple(recipients)
    missed = {(recipient, channel) for recipient, channel, _ in expired.missed}
    watching = tuple(r for r in everyone if r.watches(expired.alert.reservoir_id))
    others = [
        tuple(r for r in group if r.id not in expired.recipient_ids)
        for group in (recipients_of(expired.alert, everyone), watching)
    ]
    told = others[0] or others[1] or watching
    return tuple((r.id, c.id, c.form) for r in told for c in r.channels if (r.id, c.id) not in missed)
