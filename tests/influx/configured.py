"""A configuration folder whose source is an InfluxDB server, for tests of the commands on it."""

from __future__ import annotations

from pathlib import Path

WARNING = """
state_directory = "state"

[source]
kind = "influxdb"
url = "{url}"
database = "{database}"
measurement = "reservoir"
dam_tag = "dam"
first_day = 1990-01-01
retries = 0
{more}

[source.fields.level_m]
field = "level"
unit = "ft"

[source.fields.inflow_m3s]
field = "inflow"
unit = "cfs"

[schedule]
daily_at = "06:30"
time_zone = "UTC"

[mail]
host = "127.0.0.1"
port = 9
security = "none"
from_address = "dams@example.org"
"""

RECIPIENTS = """
[recipients.maria]
name = "Maria"
least_severity = "advisory"
reservoirs = "all"
email = "maria@example.org"
"""

DAM = """
[reservoirs.{id}]
name = "{id}"
time_zone = "America/Los_Angeles"
datum = "NGVD29"
forecast_variable = "level_m"
limits = {{ level_m = [0.0, 400.0] }}
{more}

[[reservoirs.{id}.thresholds]]
name = "full"
severity = "emergency"
value = 300.0
clear_value = 299.0
"""


def write_configuration(folder: Path, url: str, database: str, *dams: str, more: str = "") -> Path:
    """Write the three files; each of `dams` is an id, or an id, ":" and its tag. `more` goes to [source]."""
    folder.mkdir(exist_ok=True)
    (folder / "warning.toml").write_text(WARNING.format(url=url, database=database, more=more))
    (folder / "recipients.toml").write_text(RECIPIENTS)
    if dams:
        tables = [dam.partition(":") for dam in dams]
        texts = [DAM.format(id=i, more=f'source_tag = "{tag}"' if tag else "") for i, _, tag in tables]
        (folder / "reservoirs.toml").write_text("".join(texts))
    return folder
