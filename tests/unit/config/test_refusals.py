"""Every mistake is refused at its own key, and with no other complaint beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError

from .conftest import ENVIRONMENT, Refused

DAM = "reservoirs.oroville"
FULL = f'{DAM}.thresholds[1, "full pool"]'
CREST = f'{DAM}.thresholds[2, "crest"]'
RISE = f'{DAM}.rise_thresholds[1, "fast rise"]'
SECOND_MARIA = '[recipients.maria2]\nname = "M"\nleast_severity = "watch"\nreservoirs = "all"\n'
SECOND_RISE = f"""
[[{DAM}.rise_thresholds]]
name = "faster rise"
severity = "emergency"
rise_per_day = 2.0
clear_rise_per_day = 1.0
above = 255.0
"""

# what is edited, the edit, the key that is complained about, and words that must occur
CASES = {
    "an unknown key": ("warning", "[source]", "[source]\nfoldr = 1", "source.foldr", "did you mean folder?"),
    "an unknown table": ("warning", "", "\n[influx]\nx = 1", "influx", "unknown key"),
    "an unknown source": ("warning", '"csv"', '"mqtt"', "source.kind", "influxdb"),
    "a key of the other source": (
        "warning",
        'kind = "csv"',
        'kind = "csv"\nbucket = "b"',
        "source.bucket",
        'kind = "influxdb"',
    ),
    "a missing source": (
        "warning",
        '[source]\nkind = "csv"\nfolder = "readings"\n',
        "",
        "source",
        "add: [source]",
    ),
    "an impossible time": ("warning", '"06:30"', '"24:30"', "schedule.daily_at", '"24:30"'),
    "a time with a zone of its own": (
        "warning",
        '"06:30"',
        "2026-01-01T06:30:00Z",
        "schedule.daily_at",
        "06:30",
    ),
    "an unknown zone": (
        "warning",
        "America/Los_Angeles",
        "America/Los_Angelos",
        "schedule.time_zone",
        "Angeles",
    ),
    "a path as zone": ("warning", "America/Los_Angeles", "../../etc", "schedule.time_zone", "IANA"),
    "a folder as zone": ("warning", "America/Los_Angeles", "America", "schedule.time_zone", "IANA"),
    "polling without pause": (
        "warning",
        "[schedule]",
        "[schedule]\npoll_minutes = 0",
        "schedule.poll_minutes",
        "1",
    ),
    "no severities": ("warning", "", "", "severities", "at least one"),
    "a severity twice": ("warning", "", "", "severities[2]", "a second time"),
    "a decay of one": ("warning", "", "\n[forecast]\nweight_decay = 1.0", "forecast.weight_decay", "below 1"),
    "a decay that does nothing": (
        "warning",
        "",
        '\n[forecast]\nweight_rule = "published"\nweight_decay = 0.9',
        "forecast.weight_decay",
        "published",
    ),
    "true as a number": ("warning", "", "\n[forecast]\nmax_epochs = true", "forecast.max_epochs", "true"),
    "infinity": ("warning", "", "\n[delivery]\nfactor = inf", "delivery.factor", "inf"),
    "waits that shrink": (
        "warning",
        "",
        "\n[delivery]\nfirst_wait_s = 3600",
        "delivery.longest_wait_s",
        "3600",
    ),
    "a user without password": (
        "warning",
        'password = "file:mail-password"\n',
        "",
        "mail.password",
        "neither",
    ),
    "a password in clear text": ("warning", "[mail]", '[mail]\nsecurity = "none"', "mail.security", "clear"),
    "a record in a relative file": (
        "warning",
        "",
        '\n[journal]\nurl = "sqlite:///x.db"',
        "journal.url",
        "four",
    ),
    "a NaN threshold": ("reservoirs", "value = 274.32", "value = nan", f"{FULL}.value", "nan"),
    "text for a number": (
        "reservoirs",
        "value = 274.32",
        'value = "274.32"',
        f"{FULL}.value",
        "value = 274.32",
    ),
    "thresholds that fall": (
        "reservoirs",
        "value = 274.62",
        "value = 274.31",
        f"{CREST}.value",
        "rise with severity",
    ),
    "thresholds that are equal": (
        "reservoirs",
        "value = 274.62",
        "value = 274.32",
        f"{CREST}.value",
        "another value",
    ),
    "a threshold above the limits": ("reservoirs", "value = 274.62", "value = 981", f"{CREST}.value", "281"),
    "a threshold at the limit": ("reservoirs", "value = 274.62", "value = 281", f"{CREST}.value", "281"),
    "a clear value at the value": (
        "reservoirs",
        "clear_value = 274.3\n",
        "clear_value = 274.62\n",
        f"{CREST}.clear_value",
        "below",
    ),
    "a clear value below the limits": (
        "reservoirs",
        "clear_value = 274.3\n",
        "clear_value = 27.3\n",
        f"{CREST}.clear_value",
        "190",
    ),
    "a probability of zero": (
        "reservoirs",
        "probability = 0.5",
        "probability = 0",
        f"{FULL}.forecast.probability",
        "above 0",
    ),
    "a probability in per cent": (
        "reservoirs",
        "probability = 0.5",
        "probability = 50",
        f"{FULL}.forecast.probability",
        "up to 1",
    ),
    "an eighth day": (
        "reservoirs",
        "within_days = 7",
        "within_days = 8",
        f"{FULL}.forecast.within_days",
        "to 7",
    ),
    "a day and a half": (
        "reservoirs",
        "within_days = 7",
        "within_days = 1.5",
        f"{FULL}.forecast.within_days",
        "1.5",
    ),
    "an unknown severity": (
        "reservoirs",
        'severity = "warning"',
        'severity = "warnin"',
        f"{FULL}.severity",
        "warning?",
    ),
    "an instruction for no severity": (
        "reservoirs",
        "",
        f'[{DAM}.instructions]\npanic = "run"',
        f"{DAM}.instructions.panic",
        "one of the severities",
    ),
    "an instruction that says nothing": (
        "reservoirs",
        "",
        f'[{DAM}.instructions]\nwatch = " "',
        f"{DAM}.instructions.watch",
        "severity = text",
    ),
    "a threshold's name twice": (
        "reservoirs",
        'name = "crest"',
        'name = "Full pool"',
        f'{DAM}.thresholds[2, "Full pool"].name',
        "tell thresholds apart",
    ),
    "a rise that is no rise": (
        "reservoirs",
        "rise_per_day = 3.0",
        "rise_per_day = 0",
        f"{RISE}.rise_per_day",
        "above 0",
    ),
    "a rise that never clears": (
        "reservoirs",
        "clear_rise_per_day = 1.5",
        "clear_rise_per_day = 3",
        f"{RISE}.clear_rise_per_day",
        "below rise_per_day",
    ),
    "a rise armed outside the limits": (
        "reservoirs",
        "above = 260.0",
        "above = 26.0",
        f"{RISE}.above",
        "190",
    ),
    "an emergency easier to reach than a watch": (
        "reservoirs",
        "",
        SECOND_RISE,
        f'{DAM}.rise_thresholds[2, "faster rise"].rise_per_day',
        "faster rise",
    ),
    "no limits for the forecast variable": (
        "reservoirs",
        "limits = { level_m = [190.0, 281.0] }",
        "limits = { rain_mm = [0, 600] }",
        f"{DAM}.limits.level_m",
        "physical limits",
    ),
    "limits that fall": ("reservoirs", "[190.0, 281.0]", "[281.0, 190.0]", f"{DAM}.limits.level_m", "281"),
    "one limit": ("reservoirs", "[190.0, 281.0]", "[281.0]", f"{DAM}.limits.level_m", "[lower, upper]"),
    "a limit that is NaN": ("reservoirs", "[190.0, 281.0]", "[nan, 281.0]", f"{DAM}.limits.level_m", "nan"),
    "a level without datum": ("reservoirs", 'datum = "NGVD29"\n', "", f"{DAM}.datum", "zero"),
    "a flow as forecast variable": (
        "reservoirs",
        '"level_m"',
        '"inflow_m3s"',
        f"{DAM}.forecast_variable",
        "storage_m3",
    ),
    "a name of two lines": (
        "reservoirs",
        '"Oroville"',
        '"Oro\\nBcc: all@example.org"',
        f"{DAM}.name",
        "line",
    ),
    "a frozen gauge after no day": (
        "reservoirs",
        "",
        f"[{DAM}.screening]\nflat_line_days = 1",
        f"{DAM}.screening.flat_line_days",
        "2",
    ),
    "a peak change for dams of any unit": (
        "reservoirs",
        "",
        "[defaults.policy]\nupdate_peak_change = 0.3",
        "defaults.policy.update_peak_change",
        "unknown key",
    ),
    "a recipient nobody defined": (
        "reservoirs",
        "limits =",
        'recipients = ["mari"]\nlimits =',
        f"{DAM}.recipients[1]",
        "whom nobody defined",
    ),
    "a recipient's unknown dam": (
        "recipients",
        '["oroville"]',
        '["oroville", "orovile"]',
        "recipients.desk.reservoirs[2]",
        "did you mean oroville?",
    ),
    "a recipient of no dam": ("recipients", '["oroville"]', "[]", "recipients.desk.reservoirs", "no dam"),
    "a word for all that is not all": (
        "recipients",
        '"all"',
        '"every"',
        "recipients.maria.reservoirs",
        '"all"',
    ),
    "a recipient without any channel": (
        "recipients",
        'apprise = ["env:SIREN_URL"]',
        "",
        "recipients.desk",
        "no way to reach",
    ),
    "a phone number without country": (
        "recipients",
        "+15305550101",
        "05305550101",
        "recipients.maria.sms",
        "country code",
    ),
    "an address without domain": (
        "recipients",
        "maria@example.org",
        "maria@",
        "recipients.maria.email",
        "mail address",
    ),
    "an address of several": (
        "recipients",
        "maria@example.org",
        "maria@example.org, joe@example.org",
        "recipients.maria.email",
        "one mail address",
    ),
    "an address twice": (
        "recipients",
        "",
        SECOND_MARIA + 'email = "MARIA@example.org"\n',
        "recipients.maria2.email",
        "maria has too",
    ),
    "a number twice": (
        "recipients",
        "",
        SECOND_MARIA + 'sms = "+15305550101"\n',
        "recipients.maria2.sms",
        "maria has too",
    ),
    "an Apprise URL twice": (
        "recipients",
        '["env:SIREN_URL"]',
        '["env:SIREN_URL", "env:SIREN_URL"]',
        "recipients.desk.apprise",
        "twice",
    ),
    "an id that is no file name": (
        "recipients",
        "[recipients.desk]",
        '[recipients."../desk"]',
        'recipients."../desk"',
        "names files",
    ),
    "yes for true": (
        "recipients",
        'name = "Desk"',
        'name = "Desk"\nfindings = "yes"',
        "recipients.desk.findings",
        "true",
    ),
}
IN_FRONT = {"no severities": "severities = []\n", "a severity twice": 'severities = ["a", "A"]\n'}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_at_its_own_key(case: str, refused: Refused) -> None:
    file, old, new, key, words = CASES[case]
    if case in IN_FRONT:
        old, new = "state_directory", IN_FRONT[case] + "state_directory"
    problems = refused(file, old, new)
    at_key = [problem for problem in problems if problem.key == key]
    assert len(at_key) == 1, [str(problem) for problem in problems]
    assert at_key[0].file == f"{file}.toml"
    assert words in str(at_key[0])
    if case not in IN_FRONT:  # there, the other files' severities are unknown as well
        assert len(problems) == 1, [str(problem) for problem in problems]


def test_mail_needs_a_server(refused: Refused, folder: Path) -> None:
    text = (folder / "warning.toml").read_text()
    mail = text[text.index("[mail]") : text.index("[sms]")]
    problems = refused("warning", mail, "")
    assert [(problem.file, problem.key) for problem in problems] == [
        ("recipients.toml", "recipients.maria.email")
    ]
    assert "[mail]" in problems[0].remedy


def test_sms_needs_a_gateway(refused: Refused) -> None:
    problems = refused("warning", '[sms]\nurl = "file:sms.url"', "")
    assert [problem.key for problem in problems] == ["recipients.maria.sms"]


def test_a_dam_nobody_is_told_about_is_refused(refused: Refused, folder: Path) -> None:
    path = folder / "recipients.toml"
    path.write_text(path.read_text().replace('"all"', '["oroville"]'))
    dam = (folder / "reservoirs.toml").read_text().partition("[reservoirs.oroville]")[2]
    copy = "\n[reservoirs.folsom]" + dam.replace("reservoirs.oroville", "reservoirs.folsom")
    problems = refused("reservoirs", "", copy)
    assert [problem.key for problem in problems] == ["reservoirs.folsom.recipients"]
    assert problems[0].found == "a dam that nobody is told about"


def test_a_recipient_who_hears_of_nothing_is_refused(refused: Refused) -> None:
    problems = refused("recipients", 'reservoirs = "all"\n', "")
    assert [problem.key for problem in problems] == ["recipients.maria.reservoirs"]


def test_severities_nobody_listens_to_are_refused(refused: Refused, folder: Path) -> None:
    recipients = folder / "recipients.toml"
    recipients.write_text(recipients.read_text().partition("[recipients.desk]")[0])
    lower = '"watch"\nvalue = 274.32'
    dams = folder / "reservoirs.toml"
    text = dams.read_text().replace('"emergency"', '"warning"').replace('"warning"\nvalue = 274.32', lower)
    dams.write_text(text)
    problems = refused("recipients", '"advisory"', '"emergency"')
    assert [problem.key for problem in problems] == [f"{DAM}.recipients"]
    assert '"warning"' in problems[0].found


def test_an_empty_file_is_refused(refused: Refused, folder: Path) -> None:
    (folder / "recipients.toml").write_text("# nobody yet\n")
    problems = refused("reservoirs", "", "\n")
    assert [(problem.file, problem.found) for problem in problems] == [("recipients.toml", "an empty file")]


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "recipients.toml").unlink()
    (folder / "recipients.toml").mkdir()
    with pytest.raises(InvalidConfigurationError, match=r"recipients\.toml"):
        load_configuration(folder, ENVIRONMENT)


def test_a_broken_file_hides_no_mistake_of_another(refused: Refused, folder: Path) -> None:
    (folder / "recipients.toml").write_text("[recipients.maria\n")
    problems = refused("reservoirs", "value = 274.62", "value = 981")
    assert [problem.file for problem in problems] == ["reservoirs.toml", "recipients.toml"]
    assert problems[1].key == "line 1"


def test_mistakes_of_one_dam_hide_no_others_of_it(refused: Refused) -> None:
    problems = refused(
        "reservoirs", "value = 274.32\nclear_value = 274.0", "valeu = 274.32\nclear_value = 981"
    )
    keys = {problem.key for problem in problems}
    assert keys == {f"{FULL}.valeu", f"{FULL}.value"}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[a]\nx = 1\nx = 2\n", "line 3, x", "first in line 2"),
        ("[a]\nx = 1\n[a]\ny = 2\n", "line 3", "first in line 1"),
        ("x = { y = 1, y = 2 }\n", "line 1, x", "a second time"),
        ("daily_at = 06:30\n", "line 1, daily_at", "quotation marks"),
        ('name = "open\n', "line 1, name", "TOML"),
        ("x = [1,\n", "end of file", "not closed"),
        ("x = " + "[" * 5000 + "\n", "", "beyond all measure"),
        ("x = " + "9" * 5000 + "\n", "", "beyond all measure"),
    ],
)
def test_broken_syntax_is_shown_with_its_line(
    text: str, place: str, words: str, refused: Refused, folder: Path
) -> None:
    (folder / "warning.toml").write_text(text)
    problem = refused("recipients", "", "\n")[0]
    assert (problem.file, problem.key) == ("warning.toml", place)
    assert words in str(problem)
