"""Chart specifications: valid by Altair's own schema, free of colours and addresses, faithful to their rows."""

from __future__ import annotations

import json
import re

import altair as alt
import jsonschema
import pytest

from connector.report.charts import MAKERS, specification
from connector.report.content import Chart, Report
from connector.report.page import _asset

KINDS = ("coverage", "funnel", "survival", "gates", "intervals", "gaps")


def charts(report: Report) -> list[Chart]:
    return [chart for section in report.sections for figure in section.figures for chart in figure.charts]


def test_the_golden_report_has_every_kind_of_chart(golden: Report) -> None:
    assert {chart.kind for chart in charts(golden)} == set(KINDS) == set(MAKERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_specification_is_valid_vega_lite(golden: Report, kind: str) -> None:
    for chart in charts(golden):
        if chart.kind == kind:
            alt.LayerChart.from_dict(specification(chart), validate=True)
            with pytest.raises(jsonschema.ValidationError):  # the schema is one that can say no
                alt.LayerChart.from_dict({**specification(chart), "autosize": "sideways"}, validate=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_theme_brings_the_colours(golden: Report, kind: str) -> None:
    dressed = set(re.findall(r'"([a-z-]+)": \{', _asset("templates/page.js")))
    for chart in charts(golden):
        if chart.kind == kind:
            made = specification(chart)
            text = json.dumps(made)
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(|http", text)
            styles = {layer["mark"]["style"] for layer in made["layer"] if "style" in layer["mark"]}
            assert styles
            assert styles <= dressed


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_fills_its_place_and_is_described(golden: Report, kind: str) -> None:
    for chart in charts(golden):
        if chart.kind == kind:
            made = specification(chart)
            assert made["width"] == "container"
            assert made["description"].startswith(chart.title)


def test_rows_arrive_unchanged(golden: Report) -> None:
    for chart in charts(golden):
        found = [rows for rows in specification(chart)["datasets"].values() if rows != [{}]]
        assert found
        assert all(rows == [dict(row) for row in chart.rows] for rows in found)


def test_an_unknown_coverage_stays_unknown() -> None:
    chart = Chart("coverage", "t", ({"month": "Dec 2026", "coverage": None, "as_of": None},), "d", {"green": 3.0, "red": 2.0})
    assert [row for rows in specification(chart)["datasets"].values() for row in rows if row] == [dict(chart.rows[0])]


def test_a_curve_without_a_median_has_no_rule() -> None:
    rows = ({"days": 0.0, "share": 1.0}, {"days": 9.0, "share": 1.0})
    without = specification(Chart("survival", "t", rows, "d", {"shown": 9.0, "median": None}))
    with_it = specification(Chart("survival", "t", rows, "d", {"shown": 9.0, "median": 4.0}))
    assert (len(without["layer"]), len(with_it["layer"])) == (2, 3)
