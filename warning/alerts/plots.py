"""The picture in an alert's mail. matplotlib is imported only when one is drawn: it takes 0.8 s."""

from __future__ import annotations

import io
import json
import math
import sys
import textwrap
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from warning.alerts.palette import rank_colour
from warning.alerts.wording import day_text, days_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (5.4, 4.5)
_DPI = 200
_INK, _FAN, _MEDIAN, _GRID = "#111111", "#2f6f9f", "#0b3d61", "#d5d5d5"
_DASHES: tuple[Any, ...] = ((0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (5, 2)), "solid")  # worse is fuller
_LINE = 0.06  # height of a line of label text, of the large axes' height
_RIGHT_EDGE = 0.97  # of the width: no text reaches beyond it (hinting makes small letters a little wider)
_LABEL_CHARACTERS = 17


def draw(plot_json: str) -> bytes:
    """Return the picture of `plot_data`'s JSON as a PNG, 1080 pixels wide, legible at half that.

    Above, enlarged, the last days and the forecast; below, small, the last sixty days.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    content = json.loads(plot_json)
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _text(figure, 0.02, 0.985, _cut(content["dam"], 44), size=13, weight="bold", va="top")
    _text(figure, 0.02, 0.935, _cut(content["saying"], 62), size=11, va="top")
    _text(figure, 0.02, 0.883, _cut(content["axis"], 70), size=9.5, va="top", color="#333333")
    whole = not content["readings"]
    _draw_focus(figure.add_axes((0.125, 0.13 if whole else 0.335, 0.605, 0.69 if whole else 0.485)), content)
    if not whole:
        _draw_overview(figure.add_axes((0.125, 0.12, 0.605, 0.125)), content)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    return target.getvalue()


def _draw_focus(axes: Axes, content: dict[str, Any]) -> None:
    first, last = _ordinal(content["days"][1]), _ordinal(content["days"][2])
    _frame(axes, (first - 0.5, last + 0.5), content["view"])
    axes.tick_params(labelsize=9.5)
    axes.yaxis.set_major_locator(_steps(6))
    step = max(1, math.ceil((last - first) / 5))
    ticks = list(range(last, first - 1, -step))
    axes.set_xticks(ticks, [_short_day(tick) for tick in ticks])
    axes.set_xticks(range(first, last + 1), minor=True)
    _draw_thresholds(axes, content)
    _draw_fan(axes, content)
    _draw_readings(axes, content, content["view"], first)
    _draw_crossing(axes, content)
    _draw_key(axes)
    if not content["fan"]:
        axes.set_title("no forecast: observations only", loc="right", size=9.5, weight="bold", pad=4)


def _draw_overview(axes: Axes, content: dict[str, Any]) -> None:
    """The last sixty days, small; the enlarged part is shaded."""
    first, focus, last = (_ordinal(day) for day in content["days"])
    low, high = content["overview"]
    days = max(_ordinal(row[0]) for row in content["readings"]) - first + 1
    _frame(axes, (first - 1, last + 1), (low, high))
    axes.axvspan(focus, last + 1, color="#e6e6e6", zorder=0, linewidth=0)
    axes.tick_params(labelsize=8.5)
    axes.yaxis.set_major_locator(_steps(2))
    step = max(1, math.ceil((last - first) / 4))
    axes.set_xticks(range(last, first - 1, -step), [_short_day(d) for d in range(last, first - 1, -step)])
    for threshold in content["thresholds"]:
        if low <= threshold["value"] <= high:
            axes.axhline(threshold["value"], color=rank_colour(threshold["rank"]), linewidth=0.9)
    _draw_readings(axes, content, (low, high), last + 1, small=True)
    if content["fan"]:
        axes.plot([_ordinal(r[0]) for r in content["fan"]], [r[3] for r in content["fan"]], color=_MEDIAN)
    words = days_text(days) + (" and\nforecast" if content["fan"] else "") + "\n(shaded: above)"
    axes.text(1.04, 0.5, words, transform=axes.transAxes, size=9, va="center")


def _frame(axes: Axes, days: tuple[float, float], values: Sequence[float]) -> None:
    axes.set_xlim(*days)
    axes.set_ylim(*values)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.5)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _steps(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10])


def _text(where: Axes | Figure, x: float, y: float, words: str, **style: Any) -> None:
    """Put `words` as they are (a name may hold the dollar signs of formulas), smaller if else cut off."""
    text = where.text(x, y, words, parse_math=False, **style)
    canvas = where.get_figure(root=True)
    box = text.get_window_extent()
    room = canvas.bbox.x1 * _RIGHT_EDGE - box.x0 if canvas is not None else box.width
    if box.width > room:
        text.set_fontsize(float(style["size"]) * room / box.width)


def _draw_thresholds(axes: Axes, content: dict[str, Any]) -> None:
    """Lines, each with its value and name at the right; labels give way to each other, lines do not."""
    low, high = content["view"]
    labels: list[tuple[float, dict[str, Any], list[str]]] = []
    for threshold in content["thresholds"]:
        colour, dash = rank_colour(threshold["rank"]), _DASHES[min(threshold["rank"], len(_DASHES)) - 1]
        axes.axhline(threshold["value"], color=colour, linestyle=dash, linewidth=1.8, zorder=2)
        labels.append(((threshold["value"] - low) / (high - low), threshold, _label(threshold, "")))
    if content["next_above"] is not None:
        labels.append((1.1, content["next_above"], _label(content["next_above"], "↑ next: ")))
    heights = _spread(
        [height for height, _, _ in labels], [_LINE * (len(lines) + 0.6) for _, _, lines in labels]
    )
    for (height, threshold, lines), middle in zip(labels, heights, strict=True):
        style: dict[str, Any] = {"transform": axes.transAxes, "color": rank_colour(threshold["rank"])}
        if height <= 1:
            axes.plot([1.0, 1.03], [height, middle], linewidth=0.9, clip_on=False, **style)
        top = middle + _LINE * len(lines) / 2
        for row, words in enumerate(lines):
            weight = "bold" if row == 0 else "normal"
            _text(
                axes,
                1.04,
                top - _LINE * row,
                words,
                size=9.5 - 0.5 * (row > 0),
                weight=weight,
                va="top",
                **style,
            )


def _label(threshold: dict[str, Any], mark: str) -> list[str]:
    name = textwrap.shorten(threshold["name"], 2 * _LABEL_CHARACTERS, placeholder="…")
    return [mark + threshold["label"], *textwrap.wrap(name, _LABEL_CHARACTERS)[:2]]


def _spread(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Return middles of labels of these `sizes` that do not overlap, near the rising `wanted` ones."""
    placed = list(wanted)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + (sizes[i - 1] + sizes[i]) / 2)
    ceiling = 1.05
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], ceiling - sizes[i] / 2)
        ceiling = placed[i] - sizes[i] / 2
    return placed


def _draw_fan(axes: Axes, content: dict[str, Any]) -> None:
    fan = content["fan"]
    if not fan:
        return
    basis = date.fromisoformat(content["basis_day"]).toordinal()
    axes.axvspan(basis, basis + len(fan) + 0.8, color="#eef3f7", zorder=0, linewidth=0)
    axes.axvline(basis, color="#888888", linewidth=0.8, zorder=1)
    middle = basis + len(fan) / 2
    axes.annotate(
        "forecast", (middle, 1), (0, 4), axes.get_xaxis_transform(), "offset points", size=9.5, ha="center"
    )
    rows = [[_ordinal(row[0]), *row[1:]] for row in fan]
    start = [row for row in content["readings"] if _ordinal(row[0]) <= basis][-1:]
    rows = [[_ordinal(start[0][0]), *[start[0][1]] * 5], *rows] if start else rows
    days, low90, low50, median, high50, high90 = (list(column) for column in zip(*rows, strict=True))
    axes.fill_between(days, low90, high90, color=_FAN, alpha=0.28, linewidth=0, zorder=3, label="90 % band")
    axes.fill_between(days, low50, high50, color=_FAN, alpha=0.5, linewidth=0, zorder=3, label="50 % band")
    for edge in (low90, high90):
        axes.plot(days, edge, color=_FAN, linewidth=0.8, zorder=3)
    axes.plot(days, median, color=_MEDIAN, linewidth=1.6, linestyle=(0, (3, 1)), zorder=4, label="median")


def _draw_readings(
    axes: Axes, content: dict[str, Any], view: Sequence[float], named_from: int, small: bool = False
) -> None:
    """Believed readings as a line, doubted ones hollow; one off the scale stands at the edge.

    From the day `named_from` on, a reading off the scale is named there instead of flattening the rest.
    """
    low, high = view
    days, values = _with_gaps([(_ordinal(row[0]), row[1]) for row in content["readings"]])
    if days:
        width, dot = (1.2, 0) if small else (2, 6)
        axes.plot(
            days, values, color=_INK, linewidth=width, marker=".", markersize=dot, zorder=5, label="observed"
        )
    doubted = [(_ordinal(row[0]), row[1]) for row in content["doubted"]]
    size = 4.5 if small else 7
    hollow: dict[str, Any] = {
        "linestyle": "none",
        "color": _INK,
        "markerfacecolor": "white",
        "markersize": size,
        "zorder": 7,
    }
    inside = [point for point in doubted if low <= point[1] <= high]
    if inside:
        axes.plot(*zip(*inside, strict=True), marker="o", label="doubted", **hollow)
    for day, value in doubted:
        if low <= value <= high:
            continue
        edge, marker, lift = (high, "^", -14) if value > high else (low, "v", 8)
        axes.plot([day], [edge], marker=marker, clip_on=False, **hollow)
        if day >= named_from:
            note = f"doubted: {value:.6g}"
            axes.annotate(note, (day, edge), (0, lift), textcoords="offset points", size=9, ha="center")


def _with_gaps(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """Break the line where a day has no reading: a gap must not look like a measurement."""
    days: list[int] = []
    values: list[float] = []
    for day, value in points:
        if days and day > days[-1] + 1:
            days.append(days[-1] + 1)
            values.append(float("nan"))
        days.append(day)
        values.append(value)
    return days, values


def _draw_crossing(axes: Axes, content: dict[str, Any]) -> None:
    """The first crossing: a mark, a line down to its day, and its words at the foot of that line."""
    crossing = content["crossing"]
    if crossing is None or crossing["day"] < content["days"][1]:
        return
    low, high = content["view"]
    day, value = _ordinal(crossing["day"]), min(max(crossing["value"], low), high)
    axes.plot([day, day], [low, value], color=_INK, linewidth=1, linestyle=(0, (2, 2)), zorder=4)
    style: dict[str, Any] = {"color": _INK, "markerfacecolor": "#ffd400", "markersize": 11, "zorder": 4.5}
    axes.plot([day], [value], marker="D", **style)
    left, right = axes.get_xlim()
    centre = min(max((day - left) / (right - left), 0.34), 0.66)
    axes.text(
        centre, 0.09, crossing["label"], transform=axes.transAxes, size=10, weight="bold",
        ha="center", va="center", zorder=9, parse_math=False,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": _INK, "linewidth": 0.9},
    )  # fmt: skip


def _draw_key(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    order = ["observed", "doubted", "median", "50 % band", "90 % band"]
    known = sorted(zip(labels, handles, strict=True), key=lambda pair: order.index(pair[0]))
    names = [label for label, _ in known]
    if axes.figure is not None and known:
        axes.figure.legend(
            [handle for _, handle in known], names, loc="lower left", bbox_to_anchor=(0.01, 0.005),
            ncols=len(known), fontsize=9, frameon=False, handlelength=1.5, columnspacing=1.1,
            handletextpad=0.5,
        )  # fmt: skip


def _ordinal(iso_day: str) -> int:
    return date.fromisoformat(iso_day).toordinal()


def _short_day(ordinal: int) -> str:
    return day_text(date.fromordinal(ordinal)).split(" ", 1)[1]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


if __name__ == "__main__":
    sys.stdout.buffer.write(draw(sys.stdin.read()))
