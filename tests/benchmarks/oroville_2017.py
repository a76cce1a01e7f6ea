"""Oroville, February 2017: what was forecast on each day, and which mails went out.

    python tests/benchmarks/oroville_2017.py ../shared/data/reservoirs [FOLDER]

Trains on all records of the folder with the days before 2016 alone, then runs the production cycle on
each day from 2017-02-01 on, with the record cut at that day, and delivers to a mailbox on loopback.
Prints, per day, the level, the probability that the emergency spillway's crest (274.62 m) is reached
within the days ahead, and the subjects of the mails. Everything lies in FOLDER afterwards.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from warning.clock import FixedClock
from warning.config.configuration import Configuration
from warning.config.loading import load_configuration
from warning.cycle import Outcome
from warning.demo.mailbox import Mailbox
from warning.domain.reservoir import Reservoir
from warning.errors import ForecastError
from warning.forecasting.trainer import train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.learning import training_history
from warning.ops.logs import configure_logs
from warning.sources.tidy_csv import read_tidy
from warning.verification.sites import infer_variable
from warning.wiring import noon_of, registry_of, wired

TRAIN_UNTIL = date(2016, 1, 1)
FIRST_DAY, LAST_DAY = date(2017, 2, 1), date(2017, 3, 31)
CREST = "emergency spillway crest"

WARNING_TOML = """\
state_directory = "{state}"

[source]
kind = "csv"
folder = "{records}"

[schedule]
daily_at = 07:00:00
time_zone = "America/Los_Angeles"

[mail]
host = "127.0.0.1"
port = {port}
security = "none"
from_address = "dam-warning@example.org"
"""

RESERVOIRS_TOML = """\
[reservoirs.us_oroville]
name = "Lake Oroville"
time_zone = "America/Los_Angeles"
datum = "NGVD 29"
forecast_variable = "level_m"

[reservoirs.us_oroville.limits]
level_m = [190.0, 282.0]

[[reservoirs.us_oroville.thresholds]]
name = "high pool"
severity = "advisory"
value = 270.0
clear_value = 269.0
forecast = { probability = 0.5, within_days = 7 }

[[reservoirs.us_oroville.thresholds]]
name = "near full pool"
severity = "watch"
value = 273.0
clear_value = 272.0
forecast = { probability = 0.3, within_days = 7 }

[[reservoirs.us_oroville.thresholds]]
name = "full pool"
severity = "warning"
value = 274.32
clear_value = 273.5
forecast = { probability = 0.2, within_days = 7 }

[[reservoirs.us_oroville.thresholds]]
name = "emergency spillway crest"
severity = "emergency"
value = 274.62
clear_value = 274.0
forecast = { probability = 0.2, within_days = 7 }

[reservoirs.us_oroville.instructions]
advisory = "Tell the river district; check the gates."
watch = "Man the control room day and night; tell the sheriffs downstream."
warning = "Raise the release within the channel's limits; prepare the evacuation plan."
emergency = "Start the evacuation plan for the Feather River; raise the release."
"""

RECIPIENTS_TOML = """\
[recipients.control_room]
name = "Control room"
email = "control.room@example.org"
least_severity = "advisory"
reservoirs = "all"
findings = true
"""


def main(records: Path, folder: Path) -> None:
    configure_logs(logging.ERROR)
    with Mailbox(folder / "mailbox") as mailbox:
        configuration = _configuration(records, folder, mailbox.port)
        _train(records, configuration)
        print("day         level m   P(crest) within 1..7 days                 first at   subjects")
        seen, day = 0, FIRST_DAY
        while day <= LAST_DAY:
            with wired(configuration, FixedClock(noon_of(day, configuration))) as parts:
                (outcome,) = parts.run_cycle()
                parts.deliver(threading.Event())
            mails = mailbox.messages()
            print(_line(day, outcome, [mail.subject for mail in mails[seen:]]), flush=True)
            seen, day = len(mails), day + timedelta(days=1)
    print(f"\nmails, plots and the record: {folder}")


def _configuration(records: Path, folder: Path, port: int) -> Configuration:
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    service = WARNING_TOML.format(state=folder / "state", records=records.resolve(), port=port)
    (config / "warning.toml").write_text(service)
    (config / "reservoirs.toml").write_text(RESERVOIRS_TOML)
    (config / "recipients.toml").write_text(RECIPIENTS_TOML)
    return load_configuration(config)


def _train(records: Path, configuration: Configuration) -> None:
    """Train as `dam-warning train --until 2016-01-01` would with all twenty dams configured."""
    histories = {}
    for path in sorted(records.glob("*.csv")):
        raw = read_tidy(path).readings(last_day=TRAIN_UNTIL - timedelta(days=1))
        configured = {r.id: r for r in configuration.reservoirs}
        try:
            variable, _ = infer_variable(path.stem, raw)
            reservoir = configured.get(path.stem) or Reservoir(
                id=path.stem,
                name=path.stem,
                time_zone=ZoneInfo("UTC"),
                datum="",
                forecast_variable=variable,
                limits={},
                level_thresholds=(),
            )
            histories[path.stem] = training_history(reservoir, raw)
        except ForecastError as error:
            print(f"not trained on {path.stem}: {error}")
    report = train_model(
        histories, TrainingSettings(), registry_of(configuration), datetime(2016, 1, 1, tzinfo=UTC)
    )
    skill = " ".join(f"{ratio:.2f}" for ratio in report.skill["us_oroville"])
    print(f"trained on {len(report.skill)} dams; MAE ratio at Oroville on its validation part: {skill}")


def _line(day: date, outcome: Outcome, subjects: list[str]) -> str:
    assessment = outcome.assessment
    if assessment is None:
        return f"{day}  could not be judged: {outcome.failure}"
    crest = next(outlook for outlook in assessment.outlooks if outlook.threshold.name == CREST)
    chances = " ".join(f"{p:5.1%}" for p in crest.probabilities) or "no forecast"
    level = "      -" if assessment.observed_value is None else f"{assessment.observed_value:7.2f}"
    first = crest.first_day.isoformat() if crest.first_day else "-"
    return f"{day}  {level}   {chances:<41}  {first:<10}  {' | '.join(subjects) or '-'}"


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(tempfile.mkdtemp()))
