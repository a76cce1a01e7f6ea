"""compose.yaml against the schema of Compose files, and its parts against each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from warning.cli.main import build_parser
from warning.config.configuration import InfluxdbSource
from warning.config.loading import load_configuration
from warning.service import STOP_DEADLINE_S
from warning.sources.influx_writeback import LAST_WAIT_S

OWN_FILES = {"./config", "./readings"}  # the admin's: named in the head of compose.yaml


def against_schema(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_files_meet_the_schema_of_compose_files(deploy: Path, name: str) -> None:
    result = against_schema(deploy / name)
    assert result.returncode == 0, result.stdout


def test_the_schema_would_tell_a_mistake(deploy: Path, tmp_path: Path) -> None:
    text = (deploy / "compose.yaml").read_text(encoding="utf-8")
    broken = tmp_path / "compose.yaml"
    broken.write_text(text.replace("restart: unless-stopped", "restarts: unless-stopped"))
    assert against_schema(broken).returncode == 1


def test_the_head_says_that_it_was_never_run_and_how_to_begin(deploy: Path) -> None:
    head = (deploy / "compose.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
    assert "has never been started" in head
    assert all(line.startswith("#") for line in head.splitlines() if line)
    for owned in OWN_FILES | {"secrets"}:
        assert owned.removeprefix("./") in head


def test_the_commands_in_the_head_are_commands_of_the_program(deploy: Path) -> None:
    head = (deploy / "compose.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
    calls = re.findall(
        r"docker compose run --rm .*?dam-warning (.*?)(?: {2,}#.*)?$", head, flags=re.MULTILINE
    )
    assert len(calls) == 3
    for call in calls:
        assert build_parser().parse_args(call.split()).command == call.split()[0]


def test_every_image_is_pinned_to_a_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "build" not in service:
            assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", service["image"]), name


def test_what_a_service_refers_to_is_there(compose: dict[str, Any], deploy: Path) -> None:
    used_secrets, used_volumes = set(), set()
    for service in compose["services"].values():
        used_secrets |= set(service.get("secrets", ()))
        assert set(service.get("depends_on", ())) <= compose["services"].keys()
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if not source.startswith("."):
                used_volumes.add(source)
            elif source not in OWN_FILES:
                assert (deploy / source).exists(), source
    assert used_secrets == compose["secrets"].keys()
    assert used_volumes == compose["volumes"].keys()


def test_secrets_are_files_and_never_values(compose: dict[str, Any], deploy: Path) -> None:
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
    for service in compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET", key):
                assert value.startswith("/run/secrets/"), key
    head = (deploy / "compose.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
    assert all(name in head for name in compose["secrets"])


def test_each_service_is_given_the_secrets_that_its_files_name(
    compose: dict[str, Any], deploy: Path, data_source: dict[str, Any]
) -> None:
    named = {
        "dam-warning": re.findall(
            r"/run/secrets/(\w+)", (deploy / "config" / "warning.toml").read_text(encoding="utf-8")
        ),
        "grafana": re.findall(
            r"/run/secrets/(\w+)", str(data_source) + str(compose["services"]["grafana"]["environment"])
        ),
        "telegraf": re.findall(r"@\{docker:(\w+)\}", (deploy / "telegraf.conf").read_text(encoding="utf-8")),
        "influxdb": re.findall(r"/run/secrets/(\w+)", str(compose["services"]["influxdb"]["environment"])),
    }
    for service, names in named.items():
        assert names
        assert set(names) == set(compose["services"][service]["secrets"]), service


def test_nothing_listens_beyond_this_host(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_one_organisation_and_bucket_go_by_one_name_everywhere(
    compose: dict[str, Any],
    service_toml: dict[str, Any],
    telegraf: dict[str, Any],
    data_source: dict[str, Any],
    dashboard: dict[str, Any],
) -> None:
    made = compose["services"]["influxdb"]["environment"]
    org, bucket = made["DOCKER_INFLUXDB_INIT_ORG"], made["DOCKER_INFLUXDB_INIT_BUCKET"]
    (output,) = telegraf["outputs"]["influxdb_v2"]
    source, grafana = service_toml["source"], data_source["jsonData"]
    assert {org, source["org"], output["organization"], grafana["organization"]} == {org}
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert {
        bucket,
        source["bucket"],
        output["bucket"],
        grafana["defaultBucket"],
        variables["bucket"]["query"],
    } == {bucket}
    urls = (source["url"], *output["urls"], data_source["url"])
    assert {urlsplit(url).hostname for url in urls} <= compose["services"].keys()


def test_the_daemon_is_not_kept_from_starting_by_a_database_that_is_down(compose: dict[str, Any]) -> None:
    assert compose["services"]["dam-warning"]["depends_on"] == ["influxdb"]  # its start, not its health


def test_the_daemon_can_write_to_nothing_but_its_record(compose: dict[str, Any]) -> None:
    daemon = compose["services"]["dam-warning"]
    assert daemon["read_only"] is True
    assert daemon["cap_drop"] == ["ALL"]
    assert daemon["security_opt"] == ["no-new-privileges:true"]
    writable = [mount for mount in daemon["volumes"] if not mount.endswith(":ro")]
    assert writable == ["dam-warning-state:/var/lib/dam-warning"]


def test_a_stop_waits_for_what_may_still_be_under_way(compose: dict[str, Any]) -> None:
    grace = compose["services"]["dam-warning"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) >= STOP_DEADLINE_S + LAST_WAIT_S


def test_the_gpu_is_laid_over_the_daemon_alone(compose: dict[str, Any], deploy: Path) -> None:
    overlay = yaml.safe_load((deploy / "compose.gpu.yaml").read_text(encoding="utf-8"))
    assert overlay["services"].keys() == {"dam-warning"}
    daemon = overlay["services"]["dam-warning"]
    (device,) = daemon["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    built = compose["services"]["dam-warning"]["build"]["args"]
    assert built.keys() == daemon["build"]["args"].keys()
    assert daemon["image"] != compose["services"]["dam-warning"]["image"]


def test_the_daemons_configuration_is_accepted_beside_the_samples(deploy: Path, tmp_path: Path) -> None:
    """As the head of compose.yaml has it: reservoirs.toml and recipients.toml copied from config/."""
    for name in ("reservoirs.toml", "recipients.toml"):
        shutil.copy(deploy.parent / "config" / name, tmp_path / name)
    secrets = {
        "influxdb_token": "t0ken",
        "mail_password": "s3cret",
        "sms_url": "twilio://AC:T@+15305550100/{phone}",
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(f"{secret}\n")
        (tmp_path / name).chmod(0o640)
    text = (deploy / "config" / "warning.toml").read_text(encoding="utf-8")
    (tmp_path / "warning.toml").write_text(text.replace("/run/secrets/", ""))
    source = load_configuration(tmp_path).source
    assert isinstance(source, InfluxdbSource)
    assert source.write_back.enabled
    assert source.token == "t0ken"
