"""Alerts in words: email (HTML and text) and SMS, and a plain form that cannot fail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from warning.alerts.brief import OutlookTable, make_brief
from warning.alerts.case import Case
from warning.alerts.plain import plain_message
from warning.alerts.plot_data import plot_content, plot_description
from warning.alerts.sms import compose_sms
from warning.domain.alert import Alert
from warning.domain.delivery import Message
from warning.domain.forecast import HORIZON_DAYS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Reservoir

__all__ = ["PLOT_CONTENT_ID", "compose_message", "has_plot", "plain_message", "rendered", "without_plot"]

PLOT_CONTENT_ID = "plot.png"
_PLOT_REGION = re.compile(r"<!-- plot -->.*?<!-- /plot -->", re.DOTALL)
_NO_PLOT = (
    '<tr><td style="padding:6px 16px;font-size:15px;line-height:21px;color:#111111;">'
    "No picture could be drawn for this alert; the words and figures here are complete without it."
    "</td></tr>"
)


def compose_message(
    alert: Alert,
    reservoir: Reservoir,
    *,
    series: ReadingSeries | None,
    forecast: Forecast | None,
    told: Sequence[str],
    now: datetime,
) -> Message:
    """Put `alert` into all forms; pure. `told` names everyone who gets it, `now` (aware) is its time.

    The HTML refers to the picture as `cid:plot.png` where there is something to draw.
    """
    forecast = _current(forecast, reservoir, now)
    case = Case(alert, reservoir, forecast, told, now)
    brief = make_brief(case)
    content = plot_content(reservoir, series, forecast, alert.assessment)
    context = {
        "brief": brief,
        "picture": plot_description(content, reservoir),
        "zone": reservoir.time_zone.key,
        "marked": brief.table is not None and any(row.marked for row in brief.table.rows),
        "table_lines": _table_lines(brief.table),
    }
    return Message(
        subject=brief.subject,
        text=rendered("email.txt", context),
        html=rendered("email.html", context),
        sms=compose_sms(
            severity=brief.headline.title,
            basis=brief.headline.short_basis.upper(),
            dam=(reservoir.name, reservoir.id),
            facts=brief.headline.short,
            action=brief.headline.short_action or brief.headline.action,
            number=alert.number,
        ),
    )


def rendered(template: str, context: Mapping[str, object]) -> str:
    """Return one of this package's templates filled in; HTML is escaped, a name that is missing an error."""
    return _templates().get_template(template).render(context)


def without_plot(message: Message) -> Message:
    """Return `message` with a sentence in the picture's place, for when none could be drawn."""
    return replace(message, html=_PLOT_REGION.sub(_NO_PLOT, message.html))


def has_plot(message: Message) -> bool:
    """Say whether the HTML refers to a picture."""
    return f"cid:{PLOT_CONTENT_ID}" in message.html


def _current(forecast: Forecast | None, reservoir: Reservoir, now: datetime) -> Forecast | None:
    """Return `forecast` if it is this dam's and not yet wholly past: an old one must not look like news."""
    if forecast is None or forecast.reservoir_id != reservoir.id:
        return None
    today = now.astimezone(reservoir.time_zone).date()
    return forecast if forecast.valid_day(HORIZON_DAYS) >= today else None


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("warning.alerts"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _table_lines(table: OutlookTable | None) -> tuple[str, ...]:
    """The table for a text mail: columns as wide as their widest cell."""
    if table is None:
        return ()
    heads = ("Day", "Median", "90 % band", *(f"{c.severity} ≥ {c.value}" for c in table.columns))
    rows = [
        (r.day + (" *" if r.marked else ""), r.median, f"{r.low} to {r.high}", *r.probabilities)
        for r in table.rows
    ]
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in pairs)
        for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in (heads, *rows))
    ]
    return (*lines, "* the first crossing") if any(row.marked for row in table.rows) else tuple(lines)
