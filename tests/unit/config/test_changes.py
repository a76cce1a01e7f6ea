"""What an edit changes, setting by setting, without a secret or an address."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warning import __version__
from warning.config.changes import restart_problems, settings_of
from warning.config.edits import edit_of, is_hint
from warning.config.fields import EMAIL_ADDRESS
from warning.config.loading import FILES, load_configuration
from warning.domain.changes import differences

from .conftest import CSV_SOURCE, ENVIRONMENT, INFLUXDB_SOURCE

NO_SECRET = ("pa55word", "t0ken", "siren.example.org", "maria@", "dams@", "15305550101", "5305550199")
PHONE = r"\+[1-9][0-9]{6,14}"
Changed = Callable[..., list[str]]


@pytest.fixture
def changed(folder: Path) -> Changed:
    """Replace `old` by `new` in a file, and return what that changes, in words."""

    def edit(name: str, old: str, new: str) -> list[str]:
        before = settings_of(load_configuration(folder, ENVIRONMENT))
        path = folder / f"{name}.toml"
        text = path.read_text()
        assert old in text, f"the test edits what is not there: {old}"
        path.write_text(text.replace(old, new, 1) if old else text + new)
        after = settings_of(load_configuration(folder, ENVIRONMENT))
        return [str(change) for change in differences(before, after)]

    return edit


def test_a_threshold_is_named_with_its_dam_its_unit_and_both_values(changed: Changed) -> None:
    assert changed("reservoirs", "value = 274.62", "value = 275.1") == [
        "oroville: thresholds.crest.value_m: 274.62 → 275.1"
    ]


def test_the_evidence_that_a_threshold_needs_is_put_in_words(changed: Changed) -> None:
    rule = "forecast = { probability = 0.5, within_days = 7 }\n"
    assert changed("reservoirs", rule, "") == [
        'oroville: thresholds."full pool".evidence: observed, or forecast with a probability of at least 0.5 '
        "within 7 days → observed"
    ]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("reservoirs", "", "\n# a comment\n"),
        ("reservoirs", "274.32", "274.320"),
        ("reservoirs", "stale_after_days = 3", "stale_after_days  =  3"),
        ("reservoirs", "limits =", "policy = { remind_after_hours = 24.0 }\nlimits ="),
        ("warning", "", "\n[delivery]\nfactor = 2.0\n"),
        ("recipients", 'reservoirs = "all"\n', 'reservoirs = "all"\nfindings = false\n'),
    ],
    ids=["comment", "zero", "space", "default", "default of the service", "default of a recipient"],
)
def test_an_edit_without_a_meaning_changes_nothing(changed: Changed, name: str, old: str, new: str) -> None:
    assert changed(name, old, new) == []


def test_a_default_for_all_dams_changes_each_dam_that_follows_it(changed: Changed) -> None:
    assert changed("reservoirs", "stale_after_days = 3", "stale_after_days = 5") == [
        "oroville: stale_after_days: 3 → 5"
    ]


def test_a_renamed_threshold_is_a_new_one_and_the_old_one_gone(changed: Changed) -> None:
    found = changed("reservoirs", '"crest"', '"top"')
    assert "oroville: thresholds.top.value_m: nothing → 274.62" in found
    assert "oroville: thresholds.crest.value_m: 274.62 → nothing" in found


def test_a_recipient_s_severity_and_dams_are_shown(changed: Changed) -> None:
    assert changed("recipients", 'least_severity = "warning"', 'least_severity = "emergency"') == [
        'recipients.desk.least_severity: "warning" → "emergency"'
    ]
    assert changed("recipients", 'reservoirs = ["oroville"]', 'reservoirs = "all"') == [
        'recipients.desk.reservoirs: ["oroville"] → "all"'
    ]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [("email", "maria@example.org", "mary@example.org"), ("sms", "+15305550101", "+15305550102")],
)
def test_a_changed_address_is_noticed_and_not_shown(changed: Changed, key: str, old: str, new: str) -> None:
    (words,) = changed("recipients", old, new)
    assert words.startswith(f'recipients.maria.{key}: "…" (mark ')
    assert old not in words
    assert new not in words


def test_no_secret_and_no_address_is_among_the_settings(folder: Path) -> None:
    path = folder / "reservoirs.toml"
    advice = 'stale_after_days = 3\ninstructions = { warning = "Call 530-555-0199 or dams@example.org." }\n'
    path.write_text(path.read_text().replace("stale_after_days = 3\n", advice))
    path = folder / "warning.toml"
    path.write_text(path.read_text() + '\n[health]\nping_url = "https://ping.example.org/s3cret-uuid"\n')
    settings = settings_of(load_configuration(folder, ENVIRONMENT))
    words = " ".join(f"{key} {value}" for (_, key), value in settings.items())
    for secret in (*NO_SECRET, "530-555-0199", "s3cret"):
        assert secret not in words
    assert settings[(None, "health.ping_url")].startswith('"https://ping.example.org/…" (mark ')
    assert settings[("oroville", "instructions.warning")].startswith('"Call … or …" (mark ')


def test_a_database_or_proxy_shows_neither_user_nor_path(changed: Changed) -> None:
    words = changed("warning", "", '\n[journal]\nurl = "postgresql://dams@db.example.org/record"\n')
    assert len(words) == 1
    assert words[0].startswith('journal.url: nothing → "postgresql://…" (mark ')


def test_what_moves_the_record_needs_a_restart(folder: Path) -> None:
    before = load_configuration(folder, ENVIRONMENT)
    assert restart_problems(before, load_configuration(folder, ENVIRONMENT)) == ()
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace('"state"', '"elsewhere"'))
    problems = restart_problems(before, load_configuration(folder, ENVIRONMENT))
    assert [problem.key for problem in problems] == ["state_directory", "journal.url"]
    assert all("restart" in problem.remedy for problem in problems)


def test_an_unsigned_edit_is_put_down_to_the_owner_of_the_file_saved_last(folder: Path) -> None:
    before = load_configuration(folder, ENVIRONMENT).files
    for place, name in enumerate(FILES):
        os.utime(folder / name, (1_800_000_000 + place, 1_800_000_000 + place))
    path = folder / "reservoirs.toml"
    path.write_text(path.read_text() + "# edited\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    edit = edit_of(load_configuration(folder, ENVIRONMENT), before)
    assert edit.who == f"{path.owner()} (owner of reservoirs.toml)"
    assert edit.note == "reservoirs.toml; last saved 2023-11-14 22:13:20 UTC"
    assert is_hint(edit.who)


def test_the_first_configuration_is_put_down_to_whoever_saved_last(folder: Path) -> None:
    edit = edit_of(load_configuration(folder, ENVIRONMENT), None)
    assert is_hint(edit.who)
    assert edit.note is not None
    assert edit.note.startswith("warning.toml, reservoirs.toml, recipients.toml; last saved ")


def test_a_change_without_an_edit_is_put_down_to_the_program(folder: Path) -> None:
    configuration = load_configuration(folder, ENVIRONMENT)
    assert edit_of(configuration, configuration.files).who == f"dam-warning {__version__}"


def test_what_a_dam_is_called_and_holds_in_influxdb_is_among_its_settings(folder: Path) -> None:
    source = (folder / "warning.toml").read_text().replace(CSV_SOURCE, INFLUXDB_SOURCE)
    (folder / "warning.toml").write_text(source)
    (folder / "influxdb-token").write_text("t0ken of the server")
    (folder / "influxdb-token").chmod(0o600)
    path = folder / "reservoirs.toml"
    path.write_text(
        path.read_text().replace("limits =", 'source_tag = "ORO"\ncapacity_m3 = 4.36e9\nlimits =')
    )
    settings = settings_of(load_configuration(folder, ENVIRONMENT))
    assert settings[("oroville", "source_tag")] == '"ORO"'
    assert settings[("oroville", "capacity_m3")] == "4360000000.0"
    assert settings[(None, "source.url")] == '"https://influxdb.example.org:8086"'
    assert settings[(None, "source.fields.storage_m3.unit")] == '"%"'
    assert settings[(None, "source.token")] == '"file:influxdb-token"'
    assert not any("t0ken" in value for value in settings.values())


@pytest.fixture
def advised(folder: Path) -> Callable[[str], str]:
    """Return what stands in the history for an instruction's words."""
    configuration = load_configuration(folder, ENVIRONMENT)

    def advise(words: str) -> str:
        dam = replace(configuration.reservoirs[0], instructions={"warning": words})
        return settings_of(replace(configuration, reservoirs=(dam,)))[("oroville", "instructions.warning")]

    return advise


@given(
    address=st.from_regex(EMAIL_ADDRESS, fullmatch=True)
    | st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_address_is_read_in_the_history_whatever_stands_around_it(
    advised: Callable[[str], str], address: str, before: str, after: str
) -> None:
    words = advised(f"{before} {address} {after}")
    assert address not in words
    assert " (mark " in words


@pytest.mark.parametrize(
    "words",
    [
        "Tel.530-555-0199",
        "tel5305550199x12",
        "(530) 555-0199",
        "530 – 555 – 0199",
        "+1 (530) 555.0199",
        "0043/1/5550199",
    ],
)
def test_a_phone_number_is_left_out_however_it_is_written(advised: Callable[[str], str], words: str) -> None:
    assert "0199" not in advised(f"Call {words}, then open gate 3.")
    assert advised(f"Call {words}, then open gate 3.") != advised(f"Call {words}1, then open gate 3.")


def test_words_without_an_address_are_shown_as_they_are(advised: Callable[[str], str]) -> None:
    words = "Open gate 3 at 271.30 m; at 272.15 m call extension 3."
    assert advised(words) == f'"{words}"'
