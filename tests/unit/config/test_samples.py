"""The commented samples load as they are, with every option uncommented, and name every key there is."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import BaseModel

from warning.config.configuration import ForecastSettings, HealthSettings, RetentionSettings
from warning.config.drafts import Draft, RecipientsFile, ReservoirsFile, WarningFile
from warning.config.loading import FILES, load_configuration
from warning.config.service_rules import DEFAULT_SEVERITIES
from warning.config.summary import summary
from warning.config.understanding import table_in
from warning.domain.delivery import RetryPolicy
from warning.domain.reservoir import AlertPolicy

SAMPLES = Path(__file__).resolve().parents[3] / "config"
ENVIRONMENT = {"CONTROL_ROOM_CHAT_URL": "json://chat.example.org/dams"}
COMMENTED_KEY = re.compile(r"^# ([a-z][a-z0-9_]* = .*)$", re.MULTILINE)
COMMENTED_TABLE = re.compile(r"^# (\[[a-z.]+\])$", re.MULTILINE)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The samples with the secret files that they refer to."""
    for name in FILES:
        shutil.copy(SAMPLES / name, tmp_path)
    secrets = {
        "mail-password": "pa55word",
        "sms.url": "twilio://AC1:token@+15305550100/{phone}",
        "siren.url": "json://siren.example.org/",
        "ping.url": "https://hc.example.org/secret-uuid",
    }
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name, secret in secrets.items():
        (tmp_path / "secrets" / name).write_text(secret)
        (tmp_path / "secrets" / name).chmod(0o600)
    return tmp_path


def uncomment(path: Path) -> None:
    path.write_text(COMMENTED_KEY.sub(r"\1", COMMENTED_TABLE.sub(r"\1", path.read_text())))


def commented_keys() -> Iterator[tuple[str, str]]:
    for name in FILES:
        for line in COMMENTED_KEY.findall((SAMPLES / name).read_text()):
            yield name, line


def keys_of(kind: type[BaseModel]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield name
        inner, _ = table_in(field.annotation)
        if inner is not None:
            yield from keys_of(inner)


def test_the_samples_load_as_they_are(samples: Path) -> None:
    configuration = load_configuration(samples, ENVIRONMENT)
    assert [dam.id for dam in configuration.reservoirs] == ["oroville", "san_luis"]
    assert configuration.reservoirs[0].level_thresholds[-1].value == 274.62


def test_the_samples_load_with_everything_uncommented(samples: Path) -> None:
    for name in FILES:
        uncomment(samples / name)
    configuration = load_configuration(samples, ENVIRONMENT)
    assert configuration.journal_url.startswith("sqlite:////var/lib")
    assert configuration.reservoirs[0].screening.flat_line_days == 14


@pytest.mark.parametrize(("name", "line"), list(commented_keys()))
def test_each_commented_example_is_valid_by_itself(name: str, line: str, samples: Path) -> None:
    path = samples / name
    path.write_text(COMMENTED_TABLE.sub(r"\1", path.read_text()).replace(f"# {line}\n", f"{line}\n", 1))
    assert load_configuration(samples, ENVIRONMENT).digest


@pytest.mark.parametrize(
    ("name", "kind"), list(zip(FILES, (WarningFile, ReservoirsFile, RecipientsFile), strict=True))
)
def test_no_key_is_missing_from_the_samples(name: str, kind: type[Draft]) -> None:
    text = (SAMPLES / name).read_text()
    written = set(re.findall(r"[\[{,.# ]*\b([a-z0-9_]+) =", text))
    written |= {part for table in re.findall(r"\[+([a-z0-9_.-]+)\]+", text) for part in table.split(".")}
    assert set(keys_of(kind)) - written == set()


def test_the_defaults_that_the_samples_show_are_the_defaults(samples: Path) -> None:
    shown: dict[str, object] = {}
    for name, line in commented_keys():
        shown |= tomllib.loads(line) if name == "warning.toml" else {}
    for settings in (ForecastSettings(), RetryPolicy(), RetentionSettings()):
        defaults = {key: value for key, value in asdict(settings).items() if value is not None}
        assert {key: shown[key] for key in defaults} == defaults
    plain = ("least_free_disk_mb", "oldest_model_days", "undelivered_minutes")
    assert all(shown[key] == getattr(HealthSettings(), key) for key in plain)
    assert shown["listen"] == "127.0.0.1:9797"
    assert HealthSettings().listen == ("127.0.0.1", 9797)
    assert shown["severities"] == list(DEFAULT_SEVERITIES)
    configuration = load_configuration(samples, ENVIRONMENT)
    assert shown["delivery_every_s"] == configuration.schedule.delivery_every_s


def test_the_policy_that_the_samples_show_is_the_default() -> None:
    defaults = (SAMPLES / "reservoirs.toml").read_text().partition("[reservoirs.")[0]
    for line in COMMENTED_KEY.findall(defaults):
        [(key, value)] = tomllib.loads(line).items()
        assert value == getattr(AlertPolicy(), key)


@pytest.mark.parametrize("name", FILES)
def test_each_key_of_the_samples_is_explained_where_it_first_occurs(name: str) -> None:
    explained: set[str] = set()
    for block in (SAMPLES / name).read_text().split("\n\n"):
        keys = set(re.findall(r"^(?:# )?([a-z][a-z0-9_]*) = ", block, re.MULTILINE))
        words = [line for line in block.splitlines() if line.startswith("# ") and " = " not in line]
        assert keys <= explained or words, f"nothing explains {keys - explained}"
        explained |= keys


def test_the_summary_says_who_hears_what(samples: Path) -> None:
    text = summary(load_configuration(samples, ENVIRONMENT))
    emergency = text.partition("emergency: crest of the emergency spillway")[2].splitlines()
    assert "274.62 m, observed, or forecast with 20% or more within 7 days" in emergency[0]
    assert "Maria Ortega, dam safety (email, sms)" in emergency[1]
    assert "County emergency office (sms)" in emergency[1]
    assert "2,450,000,000 m³" in text
    assert "no instruction is given for: watch" in text


def test_the_summary_names_a_threshold_that_tells_nobody(samples: Path) -> None:
    path = samples / "recipients.toml"
    path.write_text(path.read_text().replace('"advisory"', '"watch"', 1))
    text = summary(load_configuration(samples, ENVIRONMENT))
    assert "tells nobody" in text.partition("advisory: flood pool")[2].splitlines()[1]


def test_the_summary_holds_no_secret(samples: Path) -> None:
    text = summary(load_configuration(samples, ENVIRONMENT))
    assert not any(secret in text for secret in ("pa55word", "token", "siren.example", "chat.example"))
