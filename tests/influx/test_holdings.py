"""What a 2.x server (a stand-in) says that it holds is understood whole, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest
from annotated_server import Fault, StandIn, Table

from warning.errors import SourceError
from warning.sources.influx_check import distinct_query, holdings
from warning.sources.influx_settings import InfluxSettings

VALUES = Table((("_value", "string", False),), [("level",), ('in"flow',), ("a,b",), ("två\nrader",)])


def settings(url: str, **changes: Any) -> InfluxSettings:
    values: dict[str, Any] = {
        "url": url,
        "org": "dams",
        "bucket": "readings",
        "token": "t",
        "measurement": "reservoir",
        "dam_tag": "dam",
        "dams": (),
        "first_day": date(1990, 1, 1),
        "retries": 0,
    }
    return InfluxSettings(**values | changes)


def test_names_come_through_csv_as_they_are() -> None:
    with StandIn([VALUES]) as server:
        held = holdings(settings(server.url))
    assert held.server == "InfluxDB 2, asked in Flux"
    assert held.fields == tuple(sorted(["level", 'in"flow', "a,b", "två\nrader"]))
    assert held.tag_values == held.fields


def test_a_bucket_without_readings_holds_nothing() -> None:
    with StandIn([]) as server:
        held = holdings(settings(server.url))
    assert (held.tag_values, held.fields) == ((), ())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.ERROR_TABLE, "unexpected EOF"),
        (Fault.CUT_CHUNKS, "cut short"),
        (Fault.CUT_UNFRAMED, "if it was cut"),
        (Fault.CUT_BEHIND_PROXY, "cut short"),
        (Fault.CUT_AT_A_LINE_BEHIND_PROXY, "cut short"),
        (Fault.LOGIN_PAGE, "not what Flux answers"),
        (Fault.JSON_ERROR, "could not find bucket"),
    ],
)
def test_a_broken_answer_is_refused(fault: Fault, words: str) -> None:
    with StandIn([VALUES, VALUES], fault) as server, pytest.raises(SourceError, match=words):
        holdings(settings(server.url))


def test_the_question_is_flux_to_influxdata_s_own_parser(
    flux_verdicts: Callable[[Sequence[str]], list[Any]],
) -> None:
    nasty = settings("http://x", bucket='a"b\\', measurement="${x} $", dam_tag="d\u00e4m\n")
    scripts = [distinct_query(nasty, column) for column in (nasty.dam_tag, "_field")]
    for verdict in flux_verdicts(scripts):
        assert verdict.valid
        assert {'a"b\\', "${x} $"} <= set(verdict.strings)
