"""The rules that the image keeps."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from warning.cli.main import build_parser


@pytest.fixture(scope="module")
def instructions(deploy: Path) -> list[tuple[str, str]]:
    """Instruction and arguments, lines joined, comments gone."""
    text = (deploy / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.strip().partition(" ") for line in joined.splitlines())]


def arguments(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for found, rest in instructions if found == name]


def test_both_stages_stand_on_one_pinned_python_that_the_project_supports(
    instructions: list[tuple[str, str]],
) -> None:
    images = {rest.partition(" ")[0] for rest in arguments(instructions, "FROM")}
    (image,) = images
    found = re.fullmatch(r"python:3\.(\d+)\.\d+-slim-\w+", image)
    assert found is not None
    assert int(found[1]) >= 11


def test_the_tested_versions_are_what_is_installed(instructions: list[tuple[str, str]], deploy: Path) -> None:
    (install,) = [run for run in arguments(instructions, "RUN") if "pip install" in run]
    assert "-c /src/deploy/constraints.txt" in install
    assert "deploy/constraints.txt /src/deploy/constraints.txt" in arguments(instructions, "COPY")
    assert (deploy / "constraints.txt").is_file()


def test_whoever_runs_it_is_not_root_and_has_the_number_that_gets_the_secrets(
    instructions: list[tuple[str, str]], compose: dict[str, Any], deploy: Path
) -> None:
    (user,) = arguments(instructions, "USER")
    uid, gid = user.split(":")
    assert int(uid) > 0
    made = " ".join(arguments(instructions, "RUN"))
    assert f"--uid {uid} --gid {gid}" in made
    assert compose["services"]["grafana"]["group_add"] == [gid]
    assert compose["services"]["telegraf"]["user"].endswith(f":{gid}")
    assert f"chgrp -R {gid} secrets" in (deploy / "compose.yaml").read_text(encoding="utf-8")
    after_user = [name for name, _ in instructions[instructions.index(("USER", user)) :]]
    assert "RUN" not in after_user
    assert "COPY" not in after_user


def test_it_starts_the_daemon_and_its_health_is_the_programs_own_status(
    instructions: list[tuple[str, str]],
) -> None:
    (entry,), (default,) = arguments(instructions, "ENTRYPOINT"), arguments(instructions, "CMD")
    (health,) = arguments(instructions, "HEALTHCHECK")
    parser = build_parser()
    program, *words = json.loads(entry) + json.loads(default)
    assert program == "dam-warning"
    assert parser.parse_args(words).command == "run"
    program, *words = json.loads(health.partition("CMD ")[2])
    assert program == "dam-warning"
    assert parser.parse_args(words).command == "status"


def test_only_what_the_image_needs_enters_its_build(
    instructions: list[tuple[str, str]], deploy: Path
) -> None:
    rules = [
        line
        for line in (deploy / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [
        name
        for rest in arguments(instructions, "COPY")
        if not rest.startswith("--from")
        for name in rest.split()[:-1]
    ]
    assert set(copied) == set(kept)
    assert all((deploy.parent / name).exists() for name in copied)
    assert not any(fnmatch(name, "*secret*") for name in kept)
