"""The provisioned dashboard: whole, and about the data source, the variables and the points that exist.

Whether its queries are Flux is asked of InfluxData's parser in tests/influx/writeback/test_dashboard.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+)(?:[:.][\w.:]+)?\}|\$(\w+)")


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in the JSON tree."""
    if isinstance(tree, dict):
        yield tree
        for branch in tree.values():
            yield from nodes(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from nodes(branch)


def test_the_dashboard_is_found_where_grafana_is_told_to_look(
    deploy: Path, compose: dict[str, Any], dashboard: dict[str, Any]
) -> None:
    folder = deploy / "grafana" / "provisioning" / "dashboards"
    (provider,) = yaml.safe_load((folder / "dams.yaml").read_text(encoding="utf-8"))["providers"]
    grafana = compose["services"]["grafana"]
    mounts = {target: source for source, target, *_ in (mount.split(":") for mount in grafana["volumes"])}
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"] == "./grafana/provisioning"
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (deploy / "grafana" / "dashboards" / home.name).is_file()
    assert re.fullmatch(r"[\w-]{1,40}", dashboard["uid"])
    assert dashboard["id"] is None


def test_every_query_goes_to_the_provisioned_data_source(
    dashboard: dict[str, Any], data_source: dict[str, Any]
) -> None:
    used = [node["datasource"] for node in nodes(dashboard) if "datasource" in node]
    assert len(used) > len(dashboard["panels"])
    assert all(one == {"type": data_source["type"], "uid": data_source["uid"]} for one in used)
    assert data_source["jsonData"]["version"] == "Flux"


def test_every_panel_has_an_id_a_title_words_and_a_query(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["query"].startswith(("from(", "standing = from(")) for target in panel["targets"])


def test_panels_fill_the_grid_without_overlap(dashboard: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_every_variable_used_exists_and_every_variable_is_used(dashboard: dict[str, Any]) -> None:
    text = json.dumps({key: dashboard[key] for key in ("panels", "annotations")})
    variables = dashboard["templating"]["list"]
    text += "".join(json.dumps(v["query"]) for v in variables if v["type"] == "query")
    used = {name or bare for name, bare in VARIABLE.findall(text)}
    own = {name for name in used if not name.startswith("__")}
    assert own == {variable["name"] for variable in variables}


def test_names_are_put_into_queries_quoted_and_escaped(dashboard: dict[str, Any]) -> None:
    """A dam's name with a quote in it must not end the query's string."""
    queries = [node["query"] for node in nodes(dashboard) if "from(" in str(node.get("query"))]
    assert len(queries) >= 10
    for query in queries:
        for name, bare in VARIABLE.findall(query):
            assert not bare, query
            assert f"${{{name}:doublequote}}" in query
        assert query.count("${") == query.count(":doublequote}")


def test_what_a_panel_sets_apart_by_name_is_something_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        queries = " ".join(target["query"] for target in panel["targets"])
        references = {target["refId"] for target in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            matcher = override["matcher"]
            if matcher["id"] == "byFrameRefID":
                assert matcher["options"] in references
            else:
                assert re.search(rf"\b{matcher['options']}\b", queries), (panel["title"], matcher)


def test_the_time_shown_reaches_to_the_end_of_the_forecast(dashboard: dict[str, Any]) -> None:
    found = re.fullmatch(r"now\+(\d+)d", dashboard["time"]["to"])
    assert found is not None
    assert int(found[1]) > 7


def test_alerts_are_annotations(dashboard: dict[str, Any]) -> None:
    (alerts,) = dashboard["annotations"]["list"]
    assert alerts["enable"]
    assert 'r.kind == "alert"' in alerts["target"]["query"]
    kept = re.findall(r"keep\(columns: \[(.*)\]\)", alerts["target"]["query"])[-1]
    assert {mapping["value"] for mapping in alerts["mappings"].values()} == set(re.findall(r'"(\w+)"', kept))
