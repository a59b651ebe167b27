"""Charts as Altair specifications. The only place that knows Altair; it is loaded when a page is made, never before.

A specification holds no colour: marks have styles and scales have ranges that the page's theme fills in (``templates/page.js``), so that one
specification serves light, dark and print. Every chart is as wide as its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import altair as alt

from connector.report.content import Chart, Value

Made = alt.LayerChart | alt.FacetChart
ROW = 26
"""Height of one row of a chart of rows, in pixels."""
OUTCOMES = ("moved on", "closed", "pending")
STATES = ("within its limit", "no limit yet", "stuck")


def specification(chart: Chart) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, valid by Altair's schema; without ``$schema``, which would be an address."""
    made = MAKERS[chart.kind](chart).properties(description=f"{chart.title}. {chart.description}")
    drawn: dict[str, Any] = made.to_dict()
    for key in ("$schema", "config"):  # Altair's own default size; the page's theme has another
        drawn.pop(key, None)
    return drawn | {"autosize": {"type": "fit-x", "contains": "padding"}}


def _data(chart: Chart) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[dict(row) for row in chart.rows]))


def _order(chart: Chart, field: str) -> list[str]:
    """The values of a field in the order of the rows, each once: a chart keeps the order of its table."""
    return [str(value) for value in dict.fromkeys(row[field] for row in chart.rows)]


def _rows(chart: Chart, field: str) -> alt.Y:
    return alt.Y(f"{field}:N", title=None, sort=_order(chart, field), axis=alt.Axis(grid=False, ticks=False, domain=False, labelLimit=170))


def _tall(chart: Chart, field: str) -> int:
    return ROW * max(1, len(_order(chart, field)))


def _rule(value: Value, style: str, channel: str = "y") -> alt.Chart:
    encoding: dict[str, Any] = {channel: alt.datum(value)}
    rule: alt.Chart = alt.Chart(alt.InlineData(values=[{}])).mark_rule(style=style).encode(**encoding)
    return rule


def _told(**fields: tuple[str, str]) -> list[alt.Tooltip]:
    """Field → its label and format, for the box under the pointer."""
    return [alt.Tooltip(f"{name}:{'Q' if form else 'N'}", title=label, format=form) for name, (label, form) in fields.items()]


def coverage(chart: Chart) -> Made:
    """A line by month, the limits as rules."""
    line = _data(chart).encode(
        x=alt.X("month:O", title=None, sort=_order(chart, "month"), axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False)),
        y=alt.Y("coverage:Q", title="weighted coverage", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5, labelExpr="datum.value + 'x'")),
        tooltip=_told(month=("Month", ""), as_of=("As of", ""), coverage=("Coverage", ".2f")),
    )
    limits = [_rule(chart.options[name], f"limit-{style}") for name, style in (("green", "good"), ("red", "bad"))]
    return alt.layer(*limits, line.mark_line(style="series"), line.mark_point(style="dot", filled=True)).properties(width="container", height=240)


def funnel(chart: Chart) -> Made:
    """A stacked bar per stage: moved on, closed, pending."""
    bars = _data(chart).encode(
        x=alt.X("deals:Q", title="deals that entered", axis=alt.Axis(tickCount=6)),
        y=_rows(chart, "stage"),
        color=alt.Color("outcome:N", sort=list(OUTCOMES), scale=alt.Scale(domain=list(OUTCOMES)), legend=alt.Legend(title=None, orient="top")),
        order=alt.Order("place:Q"),
        tooltip=_told(stage=("Stage", ""), outcome=("Outcome", ""), deals=("Deals", "d")),
    )
    whole = _data(chart).mark_text(style="value-label", align="left", dx=5)
    labels = whole.encode(x=alt.X("sum(deals):Q"), y=_rows(chart, "stage"), text=alt.Text("sum(deals):Q"))
    return alt.layer(bars.mark_bar(style="share"), labels).properties(width="container", height=_tall(chart, "stage"))


def survival(chart: Chart) -> Made:
    """A falling step curve, its median as a dashed rule."""
    days = alt.Scale(domain=[0, chart.options["shown"]], nice=False)
    steps = _data(chart).encode(
        x=alt.X("days:Q", title="days", scale=days, axis=alt.Axis(grid=False, tickCount=4)),
        y=alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", values=[0, 0.5, 1])),
        tooltip=_told(days=("Days", "d"), share=("Still there", ".0%")),
    )
    area = steps.mark_area(style="series-area", interpolate="step-after", clip=True)
    layers: list[alt.Chart] = [area, steps.mark_line(style="series", interpolate="step-after", clip=True)]
    median = chart.options["median"]
    if median is not None:
        layers.append(_rule(median, "median", "x"))
    return alt.layer(*layers).properties(width="container", height=110, title=alt.TitleParams(text=chart.title, anchor="start", frame="group"))


def gates(chart: Chart) -> Made:
    """A point per open gate, a tick at the limit of its kind."""
    states = alt.Scale(domain=list(STATES), range="ordinal")
    legend = alt.Legend(title=None, orient="top")
    points = (
        _data(chart)
        .mark_point(style="gate", filled=True)
        .encode(
            x=alt.X("days:Q", title="days open", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=8)),
            y=_rows(chart, "gate"),
            color=alt.Color("state:N", scale=states, legend=legend),
            shape=alt.Shape("state:N", scale=alt.Scale(domain=list(STATES), range="symbol"), legend=legend),
            tooltip=_told(deal=("Deal", ""), gate=("Gate", ""), days=("Days open", "d"), limit=("Limit", "d")),
        )
    )
    limits = _data(chart).mark_tick(style="limit-tick").encode(x=alt.X("max(limit):Q"), y=_rows(chart, "gate"))
    return alt.layer(limits, points).properties(width="container", height=ROW + _tall(chart, "gate"))


def intervals(chart: Chart) -> Made:
    """A point and its interval per row; low numbers hollow."""
    told = _told(label=("Group", ""), rate=("Win rate", ".1%"), low=("From", ".0%"), high=("To", ".0%"), n=("Closed", "d"))
    whole = alt.Scale(domain=[0, 1])
    base = _data(chart).encode(y=_rows(chart, "label"), tooltip=told)
    whiskers = base.mark_rule(style="whisker").encode(x=alt.X("low:Q", title=None, scale=whole, axis=alt.Axis(format="%", tickCount=5)), x2="high:Q")
    at = base.encode(x=alt.X("rate:Q", scale=whole))
    firm = at.transform_filter("datum.sample == 'enough'").mark_point(style="dot", filled=True)
    few = at.transform_filter("datum.sample != 'enough'").mark_point(style="hollow", filled=False)
    return alt.layer(whiskers, firm, few).properties(width="container", height=(ROW + 8) * max(1, len(chart.rows)))


def gaps(chart: Chart) -> Made:
    """A bar per field: how many deals lack it."""
    bars = _data(chart).encode(
        x=alt.X("deals:Q", title="deals that lack it", axis=alt.Axis(tickCount=5, format="d")),
        y=_rows(chart, "field"),
        tooltip=_told(field=("Field", ""), deals=("Deals", "d")),
    )
    labels = bars.mark_text(style="value-label", align="left", dx=5).encode(text="deals:Q")
    return alt.layer(bars.mark_bar(style="share"), labels).properties(width="container", height=_tall(chart, "field"))


MAKERS: Mapping[str, Callable[[Chart], Made]] = {
    "coverage": coverage, "funnel": funnel, "survival": survival, "gates": gates, "intervals": intervals, "gaps": gaps,
}  # fmt: skip
"""Kind of chart → what makes its specification."""
