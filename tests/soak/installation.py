"""The soak's installation: configuration, readings, and a disk of its own that can be full."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from world import Dam

REFUSED = "refused@soak.example"
SMS = "+4366400000001"
DISK_MB = 900


@dataclass(frozen=True, slots=True)
class Person:
    """Who is told of what. `least` is a severity, `dams` None for all."""

    id: str
    addresses: tuple[str, ...]
    least: str
    dams: frozenset[str] | None = None
    findings: bool = False
    refused: bool = False

    def watches(self, dam: str) -> bool:
        return self.dams is None or dam in self.dams


PEOPLE = (
    Person("control", ("control@soak.example",), "watch", findings=True),
    Person("engineer", ("engineer@soak.example", f"sms{SMS}@gateway.soak.example"), "warning"),
    Person("valley", ("valley@soak.example",), "emergency", dams=frozenset({"alder", "cedar"})),
    Person("gone", (REFUSED,), "watch", refused=True),
)
EVERYONE = tuple(address for person in PEOPLE if not person.refused for address in person.addresses)

_WARNING = """\
state_directory = "{state}"
severities = ["watch", "warning", "emergency"]

[source]
kind = "csv"
folder = "{readings}"

[schedule]
daily_at = "06:30"
time_zone = "Europe/Vienna"
poll_minutes = 180
delivery_every_s = 3600

[forecast]
device = "cpu"
time_limit_s = 60
retrain_every_days = 0

[mail]
host = "127.0.0.1"
port = {port}
security = "none"
from_address = "dam-warning@soak.example"

[sms]
url = "file:sms.url"

[delivery]
factor = 4.0
longest_wait_s = 10800

[health]
listen = "127.0.0.1:{listen}"
ping_url = "{ping_url}"
heartbeat_at = "08:00"
least_free_disk_mb = 20
oldest_model_days = 3650
undelivered_minutes = 240

[retention]
cycles_days = 30
"""

_DAM = """\
[reservoirs.{id}]
name = "{name}"
time_zone = "{zone}"
datum = "local gauge"
forecast_variable = "{column}"

[reservoirs.{id}.limits]
{column} = [{low}, {high}]

[reservoirs.{id}.policy]
clear_after_days = {clear_after_days}

[reservoirs.{id}.screening]
rate_per_day = {{ {column} = {rate} }}
spike = {{ {column} = {rate} }}

"""

_THRESHOLD = """\
[[reservoirs.{id}.thresholds]]
name = "{severity} level"
severity = "{severity}"
value = {value}
clear_value = {clear_value}
{forecast}
"""


class Site:
    """The folder that the daemon is installed in. `full` says whether its disk takes nothing more."""

    def __init__(
        self, folder: Path, dams: tuple[Dam, ...], *, mail_port: int, listen: int, ping_url: str
    ) -> None:
        self.config, self.readings, self.disk = folder / "config", folder / "readings", folder / "disk"
        self.state = self.disk / "state"
        self.record = self.state / "journal.sqlite3"
        self.full = False
        self._places = {"port": mail_port, "listen": listen, "ping_url": ping_url}
        for path in (self.config, self.readings, self.disk):
            path.mkdir()
        self.mounted = _mount(self.disk)
        gateway = (
            f"mailto://127.0.0.1:{mail_port}/?smtp=127.0.0.1&mode=insecure&from=dam-warning@soak.example"
            "&to=sms{phone}@gateway.soak.example&format=text"
        )
        secret = self.config / "sms.url"
        secret.touch(mode=0o600)
        secret.write_text(gateway + "\n")
        self.write_configuration(dams)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)

    def texts(self, dams: tuple[Dam, ...]) -> dict[str, str]:
        return {
            "warning.toml": _WARNING.format(state=self.state, readings=self.readings, **self._places),
            "reservoirs.toml": "".join(map(_dam_text, dams)),
            "recipients.toml": "".join(map(_person_text, PEOPLE)),
        }

    def write_configuration(self, dams: tuple[Dam, ...]) -> None:
        for name, text in self.texts(dams).items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Replace one file as an editor does."""
        path = self.config / name
        if not path.exists() or path.read_text() != text:
            unfinished = path.with_suffix(".part")
            unfinished.write_text(text)
            os.replace(unfinished, path)

    def fill(self, pid: int | None) -> None:
        """Leave no room on the disk; where it is not our own, by a limit on what the process writes."""
        self.full = True
        self._empty_log()
        if self.mounted:
            stat = os.statvfs(self.disk)
            used_kb = (stat.f_blocks - stat.f_bfree) * stat.f_frsize // 1024
            _remount(self.disk, f"{used_kb}k")
        elif pid is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def _empty_log(self) -> None:
        """Leave the record no room of its own: SQLite would write for hours into the log that it has."""
        with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(self.record, timeout=1)) as record:
            record.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def free(self, pid: int | None) -> None:
        self.full = False
        if self.mounted:
            _remount(self.disk, f"{DISK_MB}m")
        elif pid is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def used_mb(self) -> float:
        return sum(path.stat().st_size for path in self.disk.rglob("*") if path.is_file()) / 1e6


def temporary_folder() -> Path:
    """A folder in memory where there is one: what a kill leaves is the same, and it spares the disk."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="dam-warning-soak-", dir=memory if memory.is_dir() else None))


def _mount(disk: Path) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "soak", str(disk)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True, capture_output=True)


def _dam_text(dam: Dam) -> str:
    head = _DAM.format(
        id=dam.id,
        name=dam.name,
        zone=dam.zone.key,
        column=dam.column,
        low=0.0,
        high=60.0 * dam.unit,
        clear_after_days=dam.clear_after_days,
        rate=9.0 * dam.unit,
    )
    rule = "forecast = { probability = 0.6, within_days = 1 }" if dam.forecast else ""
    return head + "".join(
        _THRESHOLD.format(
            id=dam.id, severity=t.severity, value=t.value, clear_value=t.clear_value, forecast=rule
        )
        for t in dam.thresholds
    )


def _person_text(person: Person) -> str:
    lines = [f"[recipients.{person.id}]", f'name = "{person.id.title()}"']
    lines.append(f'email = "{person.addresses[0]}"')
    if len(person.addresses) > 1:
        lines.append(f'sms = "{SMS}"')
    lines.append(f'least_severity = "{person.least}"')
    lines.append(f"reservoirs = {json.dumps(sorted(person.dams)) if person.dams else json.dumps('all')}")
    if person.findings:
        lines.append("findings = true")
    return "\n".join(lines) + "\n\n"
