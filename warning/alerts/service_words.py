"""What each trouble of the service is called, what it means for the watch, which command shows more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from warning.domain.troubles import TroubleKind

_LOG = "journalctl -u dam-warning --since today"
_WATCH_GOES_ON = "The watch goes on: dams are looked at, and warnings are sent."


@dataclass(frozen=True, slots=True)
class Words:
    """`title` opens the subject; `key` in it is the trouble's own. `over` is said instead at its end."""

    title: str
    effect: str
    command: str
    over: str = ""


WORDS: Final[Mapping[TroubleKind, Words]] = {
    TroubleKind.RECORD_FAILED: Words(
        "the record cannot be read or written",
        "Nothing can be put on record, and what is not on record is not sent: watch the dams yourselves.",
        _LOG,
    ),
    TroubleKind.CYCLE_OVERDUE: Words(
        "the daily cycle did not run",
        "No dam was looked at and no forecast was made. Warnings that were recorded before are still sent.",
        "systemctl status dam-warning",
    ),
    TroubleKind.JOB_HANGS: Words(
        "the job {key} hangs",
        "What this job does is not being done. systemd restarts the service where the watch stands still.",
        _LOG,
    ),
    TroubleKind.JOB_FAILED: Words(
        "the job {key} fails", "What this job does is not being done; it is tried again.", _LOG
    ),
    TroubleKind.UNDELIVERED: Words(
        "messages are not delivered",
        "Dams are looked at and forecasts are made, but some of those who must be told have not been.",
        "dam-warning status",
    ),
    TroubleKind.SOURCE_OLD: Words(
        "no new readings",
        "No dam is watched: there is nothing to forecast or to warn from. Read the gauges by hand.",
        "dam-warning check-config --connect",
    ),
    TroubleKind.CYCLE_PARTIAL: Words(
        "the last cycle left dams out",
        "The dams that it left out were not judged; the others were, and warnings are sent.",
        _LOG,
    ),
    TroubleKind.CLOCK: Words(
        "the clock may be wrong",
        "Dams are looked at and warnings are sent, but perhaps at the wrong time or for the wrong day.",
        "timedatectl",
    ),
    TroubleKind.DISK_LOW: Words(
        "disk nearly full",
        f"{_WATCH_GOES_ON} When no room is left, nothing can be recorded or sent in the ordinary way.",
        "df -h",
    ),
    TroubleKind.CONFIGURATION_REFUSED: Words(
        "the edited configuration is refused",
        "The last good configuration stays in force: warnings are sent by it. The edit has no effect.",
        "dam-warning check-config",
        over="the configuration is accepted and in force",
    ),
    TroubleKind.CHECK_FAILED: Words(
        "the check of the {key} failed", "The watch may be well or not: this part of it is unknown.", _LOG
    ),
    TroubleKind.MODEL_UNUSABLE: Words(
        "the model cannot be used",
        "Dams are looked at and warnings are sent; forecasts are made by simpler methods.",
        "dam-warning models",
    ),
    TroubleKind.MODEL_OLD: Words(
        "the model is old",
        f"{_WATCH_GOES_ON} Forecasts are made by a model that has not seen the newest seasons.",
        "dam-warning models",
    ),
    TroubleKind.TRAINING_FAILED: Words(
        "training failed", f"{_WATCH_GOES_ON} The model in force stays in force.", _LOG
    ),
    TroubleKind.WRITE_BACK_FAILED: Words(
        "forecasts are not written back",
        f"{_WATCH_GOES_ON} Dashboards that read InfluxDB show old forecasts.",
        _LOG,
    ),
    TroubleKind.HISTORY_BROKEN: Words(
        "the history of changes is not whole",
        f"{_WATCH_GOES_ON} Who changed which threshold can no longer be proved.",
        "dam-warning history",
    ),
    TroubleKind.PING_FAILED: Words(
        "the dead-man ping fails",
        f"{_WATCH_GOES_ON} Whoever waits for the ping may believe that it does not.",
        _LOG,
    ),
    TroubleKind.RESTARTED: Words(
        "the daemon was cut off and started again",
        "It runs again; what it owed has been looked up and is done.",
        "journalctl -u dam-warning -b",
    ),
}
