"""Who may import whom, and what never enters the daemon's own process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from warning.demo.configuration import write_configuration
from warning.demo.dams import DAMS

# Outside packages that pyproject.toml's contracts give no door, and the one place that uses each.
SINGLE_USERS = {"apscheduler": "warning/service.py", "tqdm": "warning/cli/progress.py"}
EVERYWHERE = {"numpy"}
# Never in the daemon's process or behind a quick command: they are large, slow to import, or can crash.
HEAVY = ("torch", "pytorch_lightning", "matplotlib")
# Only in the process of whoever reads from a server; on a folder of files the daemon saves its 26 MB.
CLIENT = "influxdb_client"


def imported_packages(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level name of every absolute import, wherever in the module it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def outside_packages(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Return for each package from outside the modules that import it."""
    users: dict[str, set[str]] = {}
    for name, tree in trees.items():
        for package in set(imported_packages(tree)) - {"warning"} - sys.stdlib_module_names:
            users.setdefault(package, set()).add(name)
    return users


def test_the_import_contracts_of_pyproject_hold(root: Path) -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\b0 broken", result.stdout)


def test_the_domain_needs_only_itself_numpy_and_the_standard_library(
    trees: Mapping[str, ast.Module],
) -> None:
    domain = {name: tree for name, tree in trees.items() if name.startswith("warning/domain/")}
    assert domain
    assert set(outside_packages(domain)) <= {"numpy"}


def test_every_outside_package_has_one_door(root: Path, trees: Mapping[str, ast.Module]) -> None:
    tooling = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    doors = {
        package
        for contract in tooling["importlinter"]["contracts"]
        if contract.get("source_modules") == ["warning"]
        for package in contract["forbidden_modules"]
    }
    users = outside_packages(trees)
    assert set(users) - doors - EVERYWHERE <= set(SINGLE_USERS)
    for package, only_user in SINGLE_USERS.items():
        assert users.get(package, set()) <= {only_user}


def test_every_outside_package_is_a_declared_dependency(root: Path, trees: Mapping[str, ast.Module]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        re.split(r"[<>=~! \[]", line, maxsplit=1)[0].replace("-", "_") for line in project["dependencies"]
    }
    assert set(outside_packages(trees)) <= declared


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["status", "--help"],
        ["check-config", "--help"],
        ["status"],
        ["check-config"],
        ["run", "--help"],
    ],
    ids=" ".join,
)
def test_a_quick_command_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    if "--help" not in arguments:
        arguments = [*arguments, "--config", str(tmp_path / "config")]
        write_configuration(
            tmp_path / "config",
            readings=tmp_path,
            state_directory=tmp_path / "state",
            mail_port=25,
            max_epochs=1,
        )
    program = (
        "import sys\n"
        "from warning.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print('loaded:', *(name for name in {HEAVY} if name in sys.modules))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) > 1  # the command did answer
    assert result.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize("command", ["cycle", "check-config --connect", f"import {DAMS[0].id} {{file}}"])
def test_reading_files_loads_no_client_of_a_server(command: str, tmp_path: Path) -> None:
    write_configuration(
        tmp_path / "config", readings=tmp_path, state_directory=tmp_path / "state", mail_port=25, max_epochs=1
    )
    program = (
        "import sys\n"
        "from warning.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        f"print('loaded:', *({CLIENT!r},) * ({CLIENT!r} in sys.modules))\n"
    )
    words = [*command.format(file=tmp_path / "none.csv").split(), "--config", str(tmp_path / "config")]
    result = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.stdout.splitlines()[-1] == "loaded:", result.stderr


@pytest.mark.parametrize("module", ["warning.service", "warning.wiring", "warning.cycle"])
def test_the_daemon_itself_never_imports_torch(module: str, tmp_path: Path) -> None:
    program = f"import sys, {module}\nprint('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "loaded:\n"
