"""What people are told when the daemon itself has failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from warning.alerts.last_resort import direct_message
from warning.alerts.wording import one_line, utc_time_text
from warning.domain.delivery import Message

_MOST_DAMS = 20
# systemd's own exit statuses (systemd.exec(5), "Process exit codes") that an admin can do something about
_SYSTEMD = {
    "200": "its working directory could not be entered",
    "203": "its program could not be started: is /opt/dam-warning/.venv whole? Install it again",
    "208": "its standard input or output could not be set up",
    "217": "its account is missing: run systemd-sysusers",
    "226": "its sandbox could not be set up: a folder that the unit names is missing",
    "238": "its state directory could not be made: is /var/lib on a full or read-only disk?",
    "239": "its cache directory could not be made: is /var/cache on a full or read-only disk?",
    "243": "its secrets could not be handed over: the folder that LoadCredential= names must exist",
}
_RESULTS = {
    "watchdog": "it made no progress for minutes and was ended by the watchdog",
    "timeout": "it took longer to start or stop than it may and was ended",
    "oom-kill": "the kernel ended it because the machine ran out of memory",
    "signal": "it was ended by a signal",
    "core-dump": "it crashed",
    "protocol": "it ended before it said that it was ready",
    "resources": "systemd lacked the resources to start it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What became of the unit. `left_at` is when it last worked, as far as systemd knows."""

    host: str
    unit: str
    result: str
    exit_status: str
    left_at: datetime | None = None
    stays_down: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the report found out: `refusal` is every problem of the configuration, `record` its last word.

    `readers` are told which configuration the addresses were taken from where it is not the one in force.
    """

    refusal: str | None
    readers: str | None
    dams: tuple[str, ...]
    record: tuple[str, ...]


def failure_message(failure: Failure, found: Circumstances, now: datetime) -> Message:
    """Put a failed unit into words for somebody who has to act at night; times in UTC."""
    stopped = "has stopped" if failure.stays_down else "keeps failing"
    subject = f"dam-warning on {failure.host} {stopped}: no dam is watched by machine"
    return direct_message(
        subject,
        [
            f"dam-warning on {failure.host} {stopped}. Nobody is watching these dams by machine: "
            f"{_some(found.dams)}. Read the gauges yourself until it works again.",
            "\n".join(_what_happened(failure, now)),
            _why(found.refusal),
            "\n".join(_what_to_do(failure, found.refusal)),
            "\n".join(found.record),
            found.readers or "",
        ],
        _sms(failure, found, stopped, now),
    )


def _what_happened(failure: Failure, now: datetime) -> list[str]:
    last = f" It last worked until {utc_time_text(failure.left_at)}." if failure.left_at else ""
    further = "It stays down." if failure.stays_down else "systemd goes on trying to start it."
    return [
        f"Unit: {failure.unit} on {failure.host}, {utc_time_text(now)}",
        f"What happened: {_in_words(failure)} (result {failure.result or 'unknown'}, "
        f"status {failure.exit_status or 'unknown'}).{last} {further}",
    ]


def _in_words(failure: Failure) -> str:
    if failure.result == "exit-code":
        if failure.exit_status == "78":
            return "it refused its configuration"
        return _SYSTEMD.get(failure.exit_status, f"it ended by itself with status {failure.exit_status}")
    return _RESULTS.get(failure.result, "it failed")


def _why(refusal: str | None) -> str:
    if refusal is None:
        return "The configuration is sound; the log says more."
    return f"Why, as the check of the configuration says:\n{refusal}"


def _what_to_do(failure: Failure, refusal: str | None) -> list[str]:
    lines = ["What to do, on that host:"]
    if refusal is not None:
        lines.append("  correct the files named above, then: sudo dam-warning check-config")
    else:
        lines.append(f"  see why: sudo journalctl -u {failure.unit} -n 100")
    lines.append(f"  then: sudo systemctl restart {failure.unit}")
    lines.append(f"  and see that it works: systemctl status {failure.unit}; sudo dam-warning status")
    return lines


def _some(dams: Sequence[str]) -> str:
    if not dams:
        return "all of this host's (the configuration does not say which)"
    shown = ", ".join(one_line(dam) for dam in dams[:_MOST_DAMS])
    return shown + (f" and {len(dams) - _MOST_DAMS:,} more" if len(dams) > _MOST_DAMS else "")


def _sms(failure: Failure, found: Circumstances, stopped: str, now: datetime) -> str:
    what = "configuration refused" if found.refusal is not None else _in_words(failure)
    count = f"{len(found.dams)} dams" if len(found.dams) != 1 else one_line(found.dams[0])[:40]
    watched = f"NOBODY WATCHES {count if found.dams else 'its dams'} by machine"
    when = f"{now:%d %b %H:%M} UTC"
    return f"dam-warning on {failure.host[:30]} {stopped}: {watched}. Read the gauges. {when}. Why: {what}"
