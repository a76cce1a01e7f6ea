"""The files of deploy/, read but never run: no container engine is at hand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="session")
def deploy() -> Path:
    return Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture(scope="session")
def compose(deploy: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((deploy / "compose.yaml").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def data_source(deploy: Path) -> dict[str, Any]:
    path = deploy / "grafana" / "provisioning" / "datasources" / "influxdb.yaml"
    (source,) = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    content: dict[str, Any] = source
    return content


@pytest.fixture(scope="session")
def dashboard(deploy: Path) -> dict[str, Any]:
    path = deploy / "grafana" / "dashboards" / "dams.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def service_toml(deploy: Path) -> dict[str, Any]:
    """The daemon's configuration in the containers."""
    return tomllib.loads((deploy / "config" / "warning.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def telegraf(deploy: Path) -> dict[str, Any]:
    return tomllib.loads((deploy / "telegraf.conf").read_text(encoding="utf-8"))
