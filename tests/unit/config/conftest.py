"""A small sound configuration in a folder of its own, for tests to break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError, Problem

ENVIRONMENT = {"SIREN_URL": "json://siren.example.org/up"}
PASSWORD = "pa55word of the mail server"
SMS_URL = "twilio://AC123:t0ken@+15305550100/{phone}"

WARNING = """
state_directory = "state"

[source]
kind = "csv"
folder = "readings"

[schedule]
daily_at = "06:30"
time_zone = "America/Los_Angeles"

[mail]
host = "mail.example.org"
user = "dam-warning"
password = "file:mail-password"
from_address = "dams@example.org"

[sms]
url = "file:sms.url"
"""

CSV_SOURCE = '\n[source]\nkind = "csv"\nfolder = "readings"\n'
INFLUXDB_SOURCE = """
[source]
kind = "influxdb"
url = "https://influxdb.example.org:8086"
bucket = "readings"
org = "dams"
token = "file:influxdb-token"
measurement = "reservoir"
dam_tag = "dam"

[source.fields.level_m]
field = "level"
unit = "ft"

[source.fields.storage_m3]
field = "filling"
unit = "%"
"""

RESERVOIRS = """
[defaults]
stale_after_days = 3

[reservoirs.oroville]
name = "Oroville"
time_zone = "America/Los_Angeles"
datum = "NGVD29"
forecast_variable = "level_m"
limits = { level_m = [190.0, 281.0] }

[[reservoirs.oroville.thresholds]]
name = "full pool"
severity = "warning"
value = 274.32
clear_value = 274.0
forecast = { probability = 0.5, within_days = 7 }

[[reservoirs.oroville.thresholds]]
name = "crest"
severity = "emergency"
value = 274.62
clear_value = 274.3

[[reservoirs.oroville.rise_thresholds]]
name = "fast rise"
severity = "watch"
rise_per_day = 3.0
clear_rise_per_day = 1.5
above = 260.0
"""

RECIPIENTS = """
[recipients.maria]
name = "Maria"
least_severity = "advisory"
reservoirs = "all"
email = "maria@example.org"
sms = "+15305550101"

[recipients.desk]
name = "Desk"
least_severity = "warning"
reservoirs = ["oroville"]
apprise = ["env:SIREN_URL"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose configuration is sound."""
    (tmp_path / "warning.toml").write_text(WARNING)
    (tmp_path / "reservoirs.toml").write_text(RESERVOIRS)
    (tmp_path / "recipients.toml").write_text(RECIPIENTS)
    for name, secret in (("mail-password", PASSWORD), ("sms.url", SMS_URL)):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


Refused = Callable[..., list[Problem]]


@pytest.fixture
def refused(folder: Path) -> Refused:
    """Edit a file (`old` → `new`, or append) and return the problems that loading then finds."""

    def edit_and_load(file: str, old: str, new: str) -> list[Problem]:
        path = folder / f"{file}.toml"
        text = path.read_text()
        assert old in text, f"the test edits what is not there: {old}"
        path.write_text(text.replace(old, new, 1) if old else text + new)
        with pytest.raises(InvalidConfigurationError) as caught:
            load_configuration(folder, ENVIRONMENT)
        return list(caught.value.problems)

    return edit_and_load
