"""What an admin writes arrives in the program as written."""

from __future__ import annotations

import hashlib
from datetime import time
from pathlib import Path

import pytest

from warning.config.configuration import ForecastSettings
from warning.config.loading import FILES, load_configuration
from warning.config.problems import InvalidConfigurationError
from warning.domain.delivery import MessageForm, RetryPolicy
from warning.domain.reservoir import Bounds, ForecastRule, LevelThreshold, Severity
from warning.domain.variables import Variable
from warning.errors import EXIT_CONFIGURATION

from .conftest import ENVIRONMENT


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_a_dam_arrives_with_its_numbers(folder: Path) -> None:
    dam = load_configuration(folder, ENVIRONMENT).reservoirs[0]
    warning, emergency = Severity(3, "warning"), Severity(4, "emergency")
    assert (dam.id, dam.name, dam.datum, dam.time_zone.key) == (
        "oroville",
        "Oroville",
        "NGVD29",
        "America/Los_Angeles",
    )
    assert dam.limits == {Variable.LEVEL_M: Bounds(190.0, 281.0)}
    assert dam.level_thresholds == (
        LevelThreshold("full pool", warning, 274.32, 274.0, ForecastRule(0.5, 7)),
        LevelThreshold("crest", emergency, 274.62, 274.3, None),
    )
    assert dam.rise_thresholds[0].arming_value == 260.0


def test_thresholds_may_be_written_in_any_order(folder: Path) -> None:
    low = '[[reservoirs.oroville.thresholds]]\nname = "low"\nseverity = "advisory"\n'
    append(folder / "reservoirs.toml", f"\n{low}value = 250\nclear_value = 249\n")
    dam = load_configuration(folder, ENVIRONMENT).reservoirs[0]
    assert [threshold.name for threshold in dam.level_thresholds] == ["low", "full pool", "crest"]


def test_a_dam_goes_before_the_defaults_and_the_defaults_before_the_program(folder: Path) -> None:
    path = folder / "reservoirs.toml"
    defaults = "[defaults.policy]\nclear_after_days = 3\nremind_after_hours = 6\n[defaults.instructions]\n"
    defaults += 'watch = "call Ann"\nwarning = "call Bob"\n'
    own = "[reservoirs.oroville.policy]\nclear_after_days = 1\n[reservoirs.oroville.instructions]\n"
    append(path, defaults + own + 'warning = "open gate 3"\n')
    dam = load_configuration(folder, ENVIRONMENT).reservoirs[0]
    assert dam.stale_after_days == 3
    assert (dam.policy.clear_after_days, dam.policy.remind_after_hours) == (1, 6.0)
    assert dam.policy.update_first_day_change_days == 1
    assert dam.instructions == {"watch": "call Ann", "warning": "open gate 3"}


def test_screening_limits_are_taken_over_and_the_rest_is_derived_later(folder: Path) -> None:
    screening = "spike = { level_m = 6 }\nsentinels = []\nflat_line_days = 20\n"
    append(folder / "reservoirs.toml", "[reservoirs.oroville.screening]\n" + screening)
    limits = load_configuration(folder, ENVIRONMENT).reservoirs[0].screening
    assert limits.spike == {Variable.LEVEL_M: 6.0}
    assert limits.sentinels == ()
    assert limits.flat_line_days == 20
    assert limits.rate_per_day == {}
    assert limits.scale_step_factor is None


def test_recipients_arrive_with_their_channels_and_dams(folder: Path) -> None:
    maria, desk = load_configuration(folder, ENVIRONMENT).recipients
    assert [channel.form for channel in maria.channels] == [MessageForm.EMAIL, MessageForm.SMS]
    assert maria.reservoirs is None
    assert desk.reservoirs == frozenset({"oroville"})
    assert [(channel.id, channel.form) for channel in desk.channels] == [
        ("apprise env:SIREN_URL", MessageForm.TEXT)
    ]
    assert desk.least_severity == Severity(3, "warning")


def test_a_dam_may_name_its_recipients_itself(folder: Path) -> None:
    recipients = folder / "recipients.toml"
    recipients.write_text(recipients.read_text().replace('reservoirs = ["oroville"]\n', ""))
    dams = folder / "reservoirs.toml"
    dams.write_text(dams.read_text().replace('datum = "NGVD29"', 'datum = "NGVD29"\nrecipients = ["desk"]'))
    desk = load_configuration(folder, ENVIRONMENT).recipients[1]
    assert desk.reservoirs == frozenset({"oroville"})


def test_severities_may_be_renamed(folder: Path) -> None:
    path = folder / "warning.toml"
    path.write_text('severities = ["gelb", "orange", "rot"]\n' + path.read_text())
    for name, new in (("advisory", "gelb"), ("watch", "gelb"), ("warning", "orange"), ("emergency", "rot")):
        for file in ("reservoirs.toml", "recipients.toml"):
            text = (folder / file).read_text().replace(f'severity = "{name}"', f'severity = "{new}"')
            (folder / file).write_text(text)
    configuration = load_configuration(folder, ENVIRONMENT)
    assert configuration.severities == (Severity(1, "gelb"), Severity(2, "orange"), Severity(3, "rot"))
    assert configuration.reservoirs[0].level_thresholds[-1].severity == Severity(3, "rot")


def test_what_is_left_out_has_its_default(folder: Path) -> None:
    configuration = load_configuration(folder, ENVIRONMENT)
    assert configuration.state_directory == folder / "state"
    assert configuration.journal_url == f"sqlite:///{folder}/state/journal.sqlite3"
    assert configuration.source.folder == folder / "readings"
    assert configuration.schedule.daily_at == time(6, 30)
    assert configuration.schedule.poll_minutes is None
    assert configuration.forecast == ForecastSettings()
    assert configuration.retry == RetryPolicy()


def test_the_published_rule_has_no_decay(folder: Path) -> None:
    append(folder / "warning.toml", '[forecast]\nweight_rule = "published"\nweight_error = "squared"\n')
    forecast = load_configuration(folder, ENVIRONMENT).forecast
    assert (forecast.weight_rule, forecast.weight_decay, forecast.weight_error) == (
        "published",
        1.0,
        "squared",
    )


def test_a_whole_toml_time_is_a_time_too(folder: Path) -> None:
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace('"06:30"', "06:45:00"))
    assert load_configuration(folder, ENVIRONMENT).schedule.daily_at == time(6, 45)


def test_a_path_may_be_long(folder: Path) -> None:
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace('"readings"', f'"{"deep/" * 100}"'))
    assert load_configuration(folder, ENVIRONMENT).source.folder == folder / ("deep/" * 100)


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    path = folder / "warning.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_configuration(folder, ENVIRONMENT).schedule.daily_at == time(6, 30)


def test_the_digest_is_that_of_the_three_files(folder: Path) -> None:
    expected = hashlib.sha256(b"".join((folder / name).read_bytes() for name in FILES)).hexdigest()
    assert load_configuration(folder, ENVIRONMENT).digest == expected


def test_a_refusal_ends_the_command_with_the_status_that_systemd_does_not_restart_on(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError, match="no such folder") as caught:
        load_configuration(tmp_path / "nowhere")
    assert caught.value.exit_status == EXIT_CONFIGURATION


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(tmp_path)
    assert [problem.file for problem in caught.value.problems] == list(FILES)


def test_a_thousand_dams_are_loaded_one_by_one(folder: Path) -> None:
    dam = (folder / "reservoirs.toml").read_text().partition("[reservoirs.oroville]")[2]
    copies = "".join(
        f"\n[reservoirs.dam-{number}]" + dam.replace("reservoirs.oroville", f"reservoirs.dam-{number}")
        for number in range(1000)
    )
    append(folder / "reservoirs.toml", copies)
    assert len(load_configuration(folder, ENVIRONMENT).reservoirs) == 1001
