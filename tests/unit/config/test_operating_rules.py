"""How the daemon says how it is, and what it keeps, is read from warning.toml; what is unsound is refused."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from warning.config.configuration import HealthSettings, RetentionSettings
from warning.config.loading import load_configuration

from .conftest import ENVIRONMENT, Refused

HEALTH = """
[health]
listen = "[::1]:9800"
ping_url = "file:ping.url"
heartbeat_at = "08:00"
least_free_disk_mb = 200
oldest_model_days = 90
undelivered_minutes = 5

[retention]
cycles_days = 365
"""


def append(folder: Path, text: str) -> None:
    path = folder / "warning.toml"
    path.write_text(path.read_text() + text)


def test_what_is_not_written_has_its_default(folder: Path) -> None:
    configuration = load_configuration(folder, ENVIRONMENT)
    assert configuration.health == HealthSettings()
    assert configuration.retention == RetentionSettings()


def test_what_is_written_is_in_force_and_the_ping_url_is_no_secret_of_any_repr(folder: Path) -> None:
    append(folder, HEALTH)
    secret = folder / "ping.url"
    secret.write_text("https://hc.example.org/a-capability")
    secret.chmod(0o600)
    configuration = load_configuration(folder, ENVIRONMENT)
    health = configuration.health
    assert (health.listen, health.heartbeat_at) == (("::1", 9800), time(8))
    assert (health.least_free_disk_mb, health.oldest_model_days, health.undelivered_minutes) == (200, 90, 5)
    assert health.ping_url == "https://hc.example.org/a-capability"
    assert "a-capability" not in repr(configuration)
    assert configuration.retention.cycles_days == 365


def test_off_listens_nowhere(folder: Path) -> None:
    append(folder, '\n[health]\nlisten = "off"\n')
    assert load_configuration(folder, ENVIRONMENT).health.listen is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('[health]\nlisten = "0.0.0.0:9797"', "health.listen"),
        ('[health]\nlisten = "127.0.0.1:0"', "health.listen"),
        ('[health]\nlisten = "127.0.0.1:70000"', "health.listen"),
        ('[health]\nlisten = "9797"', "health.listen"),
        ('[health]\nping_url = "ftp://hc.example.org/x"', "health.ping_url"),
        ('[health]\nping_url = "file:not-there"', "health.ping_url"),
        ('[health]\nheartbeat_at = "8"', "health.heartbeat_at"),
        ("[health]\nleast_free_disk_mb = 0", "health.least_free_disk_mb"),
        ("[health]\noldest_model_days = nan", "health.oldest_model_days"),
        ("[health]\nundelivered_minutes = -1", "health.undelivered_minutes"),
        ("[retention]\ncycles_days = 1", "retention.cycles_days"),
        ("[forecast]\nretrain_every_days = -1", "forecast.retrain_every_days"),
    ],
)
def test_what_is_unsound_is_refused_at_its_key(line: str, key: str, refused: Refused) -> None:
    assert [problem.key for problem in refused("warning", "", f"\n{line}\n")] == [key]
