"""The dashboard's queries: Flux by InfluxData's own parser, about points that are really written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from warning.sources.influx_points import Judged, lines_of

DASHBOARD = Path(__file__).resolve().parents[3] / "deploy" / "grafana" / "dashboards" / "dams.json"
# what Grafana defines for every query
GRAFANA = (
    "option v = {timeRangeStart: 2024-01-01T00:00:00Z, timeRangeStop: 2024-03-01T00:00:00Z, "
    "windowPeriod: 1m}\n"
)
VALUES = {"factor": "0.3048", "lead": "1"}


def queries() -> list[str]:
    return sorted(set(found(json.loads(DASHBOARD.read_text(encoding="utf-8")))))


def found(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if "from(" in str(tree.get("query")) or "schema." in str(tree.get("query")):
            yield from [tree["query"]] if isinstance(tree["query"], str) else []
        for branch in tree.values():
            yield from found(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from found(branch)


def as_sent(query: str) -> str:
    """The query with its variables filled in, as Grafana sends it."""
    filled = re.sub(r"\$\{(\w+):doublequote\}", lambda m: f'"{VALUES.get(m[1], "a name")}"', query)
    lines = filled.splitlines()
    imports = [line for line in lines if line.startswith("import ")]
    return "\n".join([*imports, GRAFANA, *(line for line in lines if line not in imports)])


def test_influxdatas_parser_accepts_every_query(
    flux_verdicts: Callable[[Sequence[str]], list[Any]],
) -> None:
    sent = [as_sent(query) for query in queries()]
    verdicts = flux_verdicts([*sent, sent[0].replace("|>", "|", 1), sent[0] + "\n  |> no_such_function()"])
    assert len(sent) >= 11
    rejected = [query for query, verdict in zip(sent, verdicts, strict=False) if not verdict.valid]
    assert rejected == []
    assert [verdict.valid for verdict in verdicts[-2:]] == [False, False]


@pytest.fixture
def written(judged: Judged) -> dict[str, tuple[set[str], set[str]]]:
    """For each kind of point its tags and its fields."""
    kinds: dict[str, tuple[set[str], set[str]]] = {}
    for point in lines_of(judged, "oroville", "dam_forecast", datetime(2017, 2, 8, 15, tzinfo=UTC)):
        series, fields = re.split(r"(?<!\\) ", point, maxsplit=1)
        tags = dict(re.findall(r"(?<!\\),(\w+)=((?:\\.|[^,\\])*)", series))
        names = re.findall(r'(?:^|,)(\w+)=(?:"(?:\\.|[^"\\])*"|[^," ]+)', fields)
        known = kinds.setdefault(tags["kind"], (set(), set()))
        known[0].update(tags)
        known[1].update(names)
    return kinds


def test_every_field_and_column_asked_for_is_written(
    written: dict[str, tuple[set[str], set[str]]],
) -> None:
    asked = 0
    for query in queries():
        kind = re.search(r'r\.kind == "(\w+)"', query)
        if kind is None:
            continue
        tags, fields = written[kind[1]]
        wanted = re.search(r"r\._field =~ /\^\((.*)\)\$/", query)
        for pattern in wanted[1].split("|") if wanted else ():
            assert any(re.fullmatch(pattern, field) for field in fields), (kind[1], pattern)
            asked += 1
        columns = {
            c for kept in re.findall(r"columns: \[([^\]]*)\]", query) for c in re.findall(r'"(\w+)"', kept)
        }
        assert {c for c in columns if not c.startswith("_")} <= tags | fields, (kind[1], columns)
        named = set(re.findall(r"r\.([a-z]\w*)", query)) - {"with"}
        assert named <= tags, (kind[1], named)
    assert asked >= 20
