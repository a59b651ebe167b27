"""The page as text: forbids everything from outside, has none of it, and shows what the report holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from connector.kpis.book.book import Book
from connector.kpis.example import example
from connector.model.kpi_settings import KpiSettings
from connector.report import page, sections
from connector.report.content import Report
from tests.report.conftest import report_of

OURS = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg", "http://www.w3.org/2000/xmlns/"}
"""Namespaces: names, never asked for."""
TOLD = {
    "https://github.com/Starcounter-Jack/JSON-Patch", "https://vega.github.io/editor/", "https://github.com/vega/vega-lite/issues/2415",
    "https://vega.github.io/schema/vega/v6.json", "http://", "https://",
}  # fmt: skip
"""Texts inside the vendored scripts: comments, messages, and the schema id of what Vega-Lite makes."""


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text.append(data)
            return
        tag, attributes = self.elements[-1]
        before = self.raw.pop()[2] if self.raw and self.raw[-1][1] is attributes else ""
        self.raw.append((tag, attributes, before + data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def runs(self, tag: str) -> list[str]:
        """Contents of scripts that run, or of styles."""
        return [text for name, attributes, text in self.raw if name == tag and attributes.get("type") != "application/json"]


@pytest.fixture(scope="module")
def html(golden: Report) -> str:
    return page.render(golden)


@pytest.fixture(scope="module")
def parsed(html: str) -> Parsed:
    return Parsed(html)


def test_nothing_is_asked_from_outside(html: str, parsed: Parsed) -> None:
    loading = {"src", "srcset", "action", "data", "poster", "background"}
    assert [name for _, attributes in parsed.elements for name in attributes if name in loading] == []
    assert parsed.all("link") == parsed.all("iframe") == parsed.all("img") == parsed.all("object") == []
    assert all((attributes["href"] or "").startswith("#") for attributes in parsed.all("a"))
    bare = html
    for name in page.VENDORED:
        script = page.SOURCE_MAP.sub("", page._asset(f"vendor/{name}"))
        assert script in bare
        bare = bare.replace(script, "")
    assert re.findall(r"https?://", bare) == []
    assert not re.search(r"@import|url\(", "".join(parsed.runs("style")))


def test_addresses_inside_the_vendored_scripts_are_names_and_comments(parsed: Parsed) -> None:
    found = {address for script in parsed.runs("script") for address in re.findall(r"https?://[A-Za-z0-9./_-]*", script)}
    assert found <= OURS | TOLD
    assert not any("sourceMappingURL" in script for script in parsed.runs("script"))


def test_the_policy_allows_these_scripts_and_this_style_and_nothing_else(parsed: Parsed) -> None:
    (meta,) = (m for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    policy = dict(part.strip().split(" ", 1) for part in str(meta["content"]).split(";"))
    assert set(policy) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert (policy["default-src"], policy["img-src"], policy["base-uri"], policy["form-action"]) == ("'none'", "data:", "'none'", "'none'")
    assert "unsafe" not in str(meta["content"])
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in parsed.runs(tag)]
        assert policy[directive].split() == hashes


def test_the_policy_stands_before_anything_it_governs(parsed: Parsed) -> None:
    names = [name for name, _ in parsed.elements]
    policy = next(i for i, (_, a) in enumerate(parsed.elements) if a.get("http-equiv"))
    assert policy < min(names.index("script"), names.index("style"))


def test_no_inline_handler_and_no_inline_style(parsed: Parsed) -> None:
    assert [a for _, attributes in parsed.elements for a in attributes if a.startswith("on") or a == "style"] == []


def test_every_chart_has_a_specification_and_a_table(parsed: Parsed, golden: Report) -> None:
    places = {a["data-chart"]: a["aria-describedby"] for a in parsed.all("div") if "data-chart" in a}
    (text,) = (text for name, a, text in parsed.raw if a.get("type") == "application/json")
    assert set(places) == set(json.loads(text))
    tables = {a["id"] for a in parsed.all("table")}
    assert set(places.values()) <= tables
    assert len(places) == sum(len(figure.charts) for section in golden.sections for figure in section.figures)


def test_the_page_is_made_of_landmarks_headings_and_captioned_tables(parsed: Parsed) -> None:
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(parsed.all(landmark)) == 1
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert all(a["aria-labelledby"] in ids for a in parsed.all("section"))
    assert len(ids) == sum("id" in a for _, a in parsed.elements)
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert {a["scope"] for a in parsed.all("th")} == {"row", "col"}
    assert {a["href"] for a in parsed.all("a")} <= {f"#{id}" for id in ids}
    assert parsed.all("html") == [{"lang": "en"}]


def test_each_stale_deal_has_two_empty_boxes(parsed: Parsed, golden: Report) -> None:
    boxes = parsed.all("input")
    assert len(boxes) == 2 * len(golden.scrub)
    assert all(box["type"] == "checkbox" and "checked" not in box for box in boxes)
    assert {box["aria-label"] for box in boxes} == {"Advance Deal O7", "Close Deal O7"}


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "a\u2028b & <!-- c"])
def test_what_the_crm_says_is_text(name: str) -> None:
    company = example().set("thresholds.stale_after_days", {"default": 1}).deal("D1", "demo 2026-06-01", name=name, segment=name)
    company.add("gates", opportunity="D1", gate="vac", opened_on="2026-12-01").add("owners", id="R3", name=name, active=True)
    parsed = Parsed(page.render(report_of(company.book())))
    assert parsed.all("img") == parsed.all("b") == []
    assert len(parsed.runs("script")) == len(page.VENDORED) + 1
    assert any(name in text for text in ["".join(parsed.text)])
    (text,) = (text for _, a, text in parsed.raw if a.get("type") == "application/json")
    rows = [row for values in json.loads(text)["gates-0-0"]["datasets"].values() for row in values]
    assert {row["deal"] for row in rows} == {name}


def test_missed_targets_stand_at_the_top(golden: Report, golden_book: Book, html: str) -> None:
    assert "Targets missed" not in html
    held = {"targets": [{"kpi": "weighted_pipeline_coverage", "at_least": 3, "source": "the board"}]}
    book = replace(golden_book, settings=KpiSettings.model_validate(golden_book.settings.model_dump(by_alias=True) | held), memo={})
    missed = sections.report(book, "golden", "file").breaches
    shown = page.render(replace(golden, breaches=missed))
    assert shown.index("Targets missed") < shown.index("target: the board") < shown.index("Three numbers and one</h2>")
    assert missed[0].words in shown


def test_a_section_that_has_nothing_to_show_is_left_out(golden_book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "AFTER", (*sections.AFTER, lambda look: None))
    assert [s.key for s in report_of(golden_book).sections] == ["numbers", "coverage", "funnel", "dwell", "gates", "win-rate", "scrub", "health"]


def test_embedded_json_cannot_end_its_element() -> None:
    value = {"a": "</script><!--\u2028&"}
    text = page.embedded(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value
