"""Rules on the program's own text: the clock, broad excepts, sizes, names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

import pytest

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
MIGRATIONS = (
    "warning/journal/migrations/versions/"  # lists of columns, never edited again: no reader to spare
)

# Where a broad except may stand, and why: one dam's or one recipient's trouble never silences another's.
BROAD_EXCEPTS = {
    "warning/cycle.py": "whatever goes wrong at one reservoir, the next is still judged",
    "warning/alerts/outbox.py": "whatever goes wrong with one delivery, the next is still sent",
}

_INSTANT_MAKERS = {"now", "utcnow", "today"}
_TIME_READERS = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime",
    "ctime", "process_time",
}  # fmt: skip


def clock_readings(tree: ast.Module) -> Iterator[int]:
    """Yield the line of every reading of the clock, called or passed on as a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            reads = any(alias.name in _TIME_READERS for alias in node.names)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rpartition(".")[2]
            reads = (node.attr in _INSTANT_MAKERS and owner in {"datetime", "date"}) or (
                node.attr in _TIME_READERS and owner == "time"
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "np.datetime64":
            reads = ast.unparse(node.args[0]) in {"'now'", "'today'"}
        else:
            continue
        if reads:
            yield node.lineno


def broad_handlers(tree: ast.Module) -> Iterator[int]:
    """Yield the line of every handler or `suppress` that catches Exception, BaseException or everything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught: Sequence[ast.expr | None] = (
                node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
            caught = node.args
        else:
            continue
        if any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught):
            yield node.lineno


@pytest.mark.parametrize(
    "text",
    [
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "time.time()",
        "default = time.monotonic",
        "from time import perf_counter",
        "np.datetime64('today', 'D')",
    ],
)
def test_every_way_to_read_the_clock_is_recognised(text: str) -> None:
    assert list(clock_readings(ast.parse(text))) == [1]


@pytest.mark.parametrize("text", ["clock.now()", "time.sleep(1)", "np.datetime64(day, 'D')", "self.today"])
def test_what_is_handed_an_instant_does_not_count_as_reading_the_clock(text: str) -> None:
    assert list(clock_readings(ast.parse(text))) == []


def test_only_the_clock_module_reads_the_clock(trees: Mapping[str, ast.Module]) -> None:
    readers = {name: lines for name, tree in trees.items() if (lines := list(clock_readings(tree)))}
    assert set(readers) == {"warning/clock.py"}


@pytest.mark.parametrize(
    "text",
    [
        "try: pass\nexcept: pass",
        "try: pass\nexcept Exception: pass",
        "try: pass\nexcept (OSError, BaseException): pass",
        "\nwith contextlib.suppress(Exception): pass",
    ],
)
def test_every_broad_except_is_recognised(text: str) -> None:
    assert list(broad_handlers(ast.parse(text))) == [2]


def test_a_broad_except_stands_in_its_two_places_only(trees: Mapping[str, ast.Module]) -> None:
    found = {name: lines for name, tree in trees.items() if (lines := list(broad_handlers(tree)))}
    assert set(found) == set(BROAD_EXCEPTS)
    assert {name: len(lines) for name, lines in found.items()} == dict.fromkeys(BROAD_EXCEPTS, 1)


def test_no_module_is_longer_than_two_modules_should_be(texts: Mapping[str, str]) -> None:
    lengths = {name: text.count("\n") for name, text in texts.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_function_is_too_long_to_be_read_at_once(trees: Mapping[str, ast.Module]) -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": length
        for name, tree in trees.items()
        if not name.startswith(MIGRATIONS)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_module_has_a_name_that_says_nothing(texts: Mapping[str, str]) -> None:
    empty_words = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}
    assert [name for name in texts if empty_words & set(re.split(r"[/_.]", name))] == []


def test_every_module_says_what_it_is_for(trees: Mapping[str, ast.Module]) -> None:
    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_the_program_asserts_nothing_that_an_optimised_run_would_skip(
    trees: Mapping[str, ast.Module],
) -> None:
    asserting = [
        name for name, tree in trees.items() if any(isinstance(n, ast.Assert) for n in ast.walk(tree))
    ]
    assert asserting == []
