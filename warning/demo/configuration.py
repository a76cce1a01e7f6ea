"""Writes the demo's configuration: the three TOML files that an admin would write for these dams."""

from __future__ import annotations

import json
from pathlib import Path

from warning.demo.dams import DAMS, MONSOON, SNOW_FED, Dam
from warning.demo.mailbox import LOOPBACK

_SENDER = "dam-warning@demo.example"

# severity: what raises it as a forecast, and what to do
_FORECAST_RULES = {"advisory": (0.5, 7), "watch": (0.5, 5), "warning": (0.4, 5), "emergency": (0.5, 3)}
_INSTRUCTIONS = {
    "advisory": "Read the gauge every six hours; tell the dam engineer.",
    "watch": "Man the control room; test the gates' drives; tell the valley authority.",
    "warning": "Open the gates by the operating rules; call the control room on extension 3; "
    "clear the river bed below the dam.",
    "emergency": "Open all gates; start the evacuation plan of the valley; report every hour.",
}

_RECIPIENTS = f"""\
# Everyone here is invented; all mail stays in the demo's own mailbox.

[recipients.control_room]
name = "Control room"
email = "control.room@demo.example"
least_severity = "advisory"
reservoirs = "all"
findings = true

[recipients.dam_engineer]
name = "Dam engineer on duty"
email = "dam.engineer@demo.example"
sms = "+919800000001"
least_severity = "watch"
reservoirs = ["{MONSOON.id}", "{SNOW_FED.id}"]

[recipients.valley_authority]
name = "Valley authority"
email = "valley.authority@demo.example"
least_severity = "warning"
reservoirs = ["{MONSOON.id}"]
"""


def write_configuration(
    folder: Path, *, readings: Path, state_directory: Path, mail_port: int, max_epochs: int
) -> None:
    """Write warning.toml, reservoirs.toml, recipients.toml and the secret they refer to into `folder`.

    Mail goes to `mail_port` on loopback; so do SMS, through a gateway that takes them as mail.
    """
    folder.mkdir(parents=True, exist_ok=True)
    gateway = (
        f"mailto://{LOOPBACK}:{mail_port}/?smtp={LOOPBACK}&mode=insecure&from={_SENDER}"
        "&to=sms{phone}@gateway.demo.example&format=text"
    )
    secret = folder / "sms.url"
    secret.touch(mode=0o600)
    secret.write_text(gateway + "\n", encoding="utf-8")
    texts = {
        "warning.toml": _warning_toml(readings, state_directory, mail_port, max_epochs),
        "reservoirs.toml": "\n".join(_dam_toml(dam) for dam in DAMS),
        "recipients.toml": _RECIPIENTS,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _warning_toml(readings: Path, state_directory: Path, mail_port: int, max_epochs: int) -> str:
    return f"""\
state_directory = {_quoted(state_directory)}

[source]
kind = "csv"
folder = {_quoted(readings)}

[schedule]
daily_at = "07:00"
time_zone = {_quoted(MONSOON.time_zone.key)}

[forecast]
device = "auto"
max_epochs = {max_epochs}

[mail]
host = "{LOOPBACK}"
port = {mail_port}
security = "none"
from_address = "{_SENDER}"
from_name = "Dam warning demo"

[sms]
url = "file:sms.url"
"""


def _dam_toml(dam: Dam) -> str:
    geometry = dam.geometry
    top_m3 = geometry.storage_m3(geometry.dam_crest_m)
    most_m3s = dam.catchment.area_km2 * 1e6 * 0.3 / 86_400  # 300 mm a day running off everywhere
    instructions = "\n".join(f"{name} = {_quoted(text)}" for name, text in _INSTRUCTIONS.items())
    return f"""\
[reservoirs.{dam.id}]
name = {_quoted(dam.name)}
time_zone = {_quoted(dam.time_zone.key)}
datum = {_quoted(dam.datum)}
forecast_variable = "level_m"

[reservoirs.{dam.id}.limits]
level_m = [{geometry.bottom_m}, {geometry.dam_crest_m}]
storage_m3 = [0, {top_m3:.0f}]
inflow_m3s = [0, {most_m3s:.0f}]
outflow_m3s = [0, {most_m3s:.0f}]
rain_mm = [0, 600]

[reservoirs.{dam.id}.instructions]
{instructions}

{_thresholds_toml(dam)}"""


def _thresholds_toml(dam: Dam) -> str:
    names = {
        "advisory": "above full supply",
        "watch": "spillway crest",
        "warning": "spillway under load",
        "emergency": "design flood",
    }
    tables = []
    for severity, level_m in dam.threshold_levels_m.items():
        probability, within_days = _FORECAST_RULES[severity]
        tables.append(f"""\
[[reservoirs.{dam.id}.thresholds]]
name = "{names[severity]}"
severity = "{severity}"
value = {level_m}
clear_value = {level_m - dam.clear_margin_m:.2f}
forecast = {{ probability = {probability}, within_days = {within_days} }}
""")
    return "\n".join(tables)


def _quoted(text: str | Path) -> str:
    """Return `text` as a TOML basic string, which JSON's strings are."""
    return json.dumps(str(text), ensure_ascii=False)
