"""The daily sign of life: how the dams and the service are, to those who look after it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from warning import __version__
from warning.alerts.service_messages import Heartbeat, compose_heartbeat, deliveries_of
from warning.domain.alert import Alert, AlertKind
from warning.domain.delivery import Composed, Recipient, RetryPolicy
from warning.health import host_name, service_alert
from warning.journal.journal import Journal
from warning.status import StatusReport

MOST_DAMS = 200
MOST_NEEDS = 30


def send_heartbeat(
    report: StatusReport,
    journal: Journal,
    recipients: Iterable[Recipient],
    retry: RetryPolicy,
    host: str | None = None,
) -> Alert:
    """Record the sign of life of `report.now` with its deliveries; return it with its number."""
    everyone, heartbeat = tuple(recipients), heartbeat_of(report, host or host_name())
    alert = service_alert(AlertKind.HEARTBEAT, report.now, heartbeat.needs)

    def compose(numbered: Alert) -> Composed:
        return Composed(
            message=compose_heartbeat(numbered, heartbeat),
            deliveries=deliveries_of(numbered, everyone, by_sms=False, sms_alone=False),
            expires_at=report.now + timedelta(hours=retry.expire_after_hours),
        )

    return journal.announce(alert, compose)


def heartbeat_of(report: StatusReport, host: str) -> Heartbeat:
    """Return what the sign of life tells: the dams that are not calm first, of many only the first."""
    dams = sorted(report.dams, key=lambda dam: not dam.needs_eyes)
    rows = [(dam.reservoir.name, dam.line) for dam in dams[:MOST_DAMS]]
    if len(dams) > MOST_DAMS:
        calm = sum(not dam.needs_eyes for dam in dams[MOST_DAMS:])
        rows.append((f"and {len(dams) - MOST_DAMS} more", f"{calm} of them calm; see `dam-warning status`"))
    needs = list(report.troubles[:MOST_NEEDS])
    if len(report.troubles) > MOST_NEEDS:
        needs.append(f"and {len(report.troubles) - MOST_NEEDS} more: see `dam-warning status`")
    return Heartbeat(host, report.now, tuple(needs), tuple(rows), report.facts, __version__)
