"""The report in a real browser: the sandbox company's, and the golden org's, which has a past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Playwright, sync_playwright

from connector.cli.main import main
from tests.report.browser import CHROMIUM, Seen, opened
from tests.report.company import company
from tests.report.conftest import GOLDEN_FILE

pytestmark = [pytest.mark.ui, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")]
MARKS = "g.role-mark path, g.role-mark line, g.role-mark text"
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
PAPER = {"light": "rgb(251, 250, 248)", "dark": "rgb(20, 23, 26)"}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pages")
    with company(place / "demo") as root:
        assert main(["--project", str(root), "report", "--out", str(place)]) == 0
    assert main(["report", "--from-file", str(GOLDEN_FILE), "--out", str(place)]) == 0
    (sandbox,), (golden,) = place.glob("sf-demo-*.html"), place.glob("golden-*.html")
    return {"sandbox": sandbox, "golden": golden}


@pytest.fixture(scope="module", params=["sandbox", "golden"])
def seen(request: pytest.FixtureRequest, playwright: Playwright, reports: dict[str, Path]) -> Iterator[Seen]:
    with opened(playwright, reports[request.param]) as page:
        yield page


def colour(seen: Seen, selector: str, name: str) -> str:
    return str(seen.page.eval_on_selector(selector, f"(e) => getComputedStyle(e)['{name}']"))


def test_it_opens_without_a_word_of_complaint(seen: Seen) -> None:
    assert seen.console == []
    assert seen.errors == []
    assert seen.violations == []


def test_it_asks_for_nothing(seen: Seen) -> None:
    assert seen.requests == []
    assert seen.failed == []
    assert seen.page.evaluate("performance.getEntriesByType('resource').length") == 0


def test_the_policy_holds_back_scripts_and_requests(playwright: Playwright, reports: dict[str, Path]) -> None:
    """What a script in a deal's name could do, if it ever came to be one."""
    attempts = """async () => {
        const script = document.createElement('script'); script.textContent = 'window.ran = true'; document.body.append(script);
        let fetched = true; try { await fetch('http://127.0.0.1:9/') } catch { fetched = false }
        return [window.ran ?? false, fetched];
    }"""
    with opened(playwright, reports["golden"]) as seen:
        assert seen.page.evaluate(attempts) == [False, False]
        assert {violation.partition("-elem")[0] for violation in seen.violations} == {"script-src", "connect-src"}
        assert seen.requests == []


def test_every_chart_is_drawn_with_marks_and_a_description(seen: Seen) -> None:
    page = seen.page
    charts = page.locator("[data-chart]")
    assert charts.count() == int(page.evaluate("document.documentElement.dataset.charts")) >= 12
    for chart in charts.all():
        svg = chart.locator("svg.marks")
        assert svg.count() == 1
        assert svg.locator(MARKS).count() > 0
        assert (chart.get_attribute("role"), bool(chart.get_attribute("aria-label"))) == ("graphics-document", True)
        assert page.locator(f"table#{chart.get_attribute('aria-describedby')} tbody tr").count() > 0


def test_marks_are_as_many_as_the_numbers_say(seen: Seen) -> None:
    """A bar per outcome that has deals, a point per open gate, a point per segment."""
    cells = seen.page.locator("#funnel-0-table tbody td.number:nth-child(n+3):nth-child(-n+5)").all_inner_texts()
    bars = seen.page.locator('[data-chart="funnel-0-0"] .mark-rect.role-mark path').all()
    widths = [box["width"] for bar in bars if (box := bar.bounding_box())]
    assert len([width for width in widths if width > 0.5]) == len([cell for cell in cells if cell != "0"])
    for chart, table in (("gates-0-0", "gates-0-table"), ("win-rate-0-0", "win-rate-0-table")):
        points = seen.page.locator(f'[data-chart="{chart}"] .mark-symbol.role-mark path').count()
        assert points == seen.page.locator(f"#{table} tbody tr").count()


def test_light_and_dark_recolour_page_and_charts_without_drawing_anew(seen: Seen) -> None:
    page, line = seen.page, '[data-chart="dwell-0-0"] .mark-line.role-mark path'
    page.eval_on_selector(line, "(e) => { e.dataset.kept = 'yes' }")
    found = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert colour(seen, "body", "backgroundColor") == PAPER[scheme]
        found[scheme] = colour(seen, line, "stroke")
    assert found == {"dark": "rgb(116, 179, 223)", "light": "rgb(31, 95, 139)"}
    assert page.get_attribute(line, "data-kept") == "yes"


def test_text_has_contrast_in_light_and_dark(seen: Seen) -> None:
    """WCAG AA, 4.5 : 1, of every ink on paper and cards."""
    script = """() => {
        const style = getComputedStyle(document.documentElement);
        const rgb = (name) => { const e = document.createElement('i'); e.style.color = style.getPropertyValue(name); document.body.append(e);
            const c = getComputedStyle(e).color.match(/\\d+/g).map(Number); e.remove(); return c; };
        const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const out = {};
        for (const paper of ['--paper', '--raised']) for (const ink of ['--ink', '--muted', '--good', '--warn', '--bad', '--accent']) {
            const [a, b] = [lum(rgb(ink)), lum(rgb(paper))].sort((x, y) => y - x); out[ink + ' on ' + paper] = (a + 0.05) / (b + 0.05); }
        return out; }"""
    for scheme in SCHEMES:
        seen.page.emulate_media(color_scheme=scheme)
        ratios = seen.page.evaluate(script)
        assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


def test_print_is_light_even_in_the_dark_and_repeats_heads(seen: Seen) -> None:
    page = seen.page
    page.emulate_media(media="print", color_scheme="dark")
    try:
        assert colour(seen, "body", "backgroundColor") == "rgb(255, 255, 255)"
        assert colour(seen, '[data-chart="dwell-0-0"] .mark-line.role-mark path', "stroke") == "rgb(31, 95, 139)"
        assert colour(seen, "nav", "display") == "none"
        assert colour(seen, "thead", "display") == "table-header-group"
        assert {colour(seen, s, "breakInside") for s in ("tbody tr", ".card", ".chart")} == {"avoid"}
        paper = page.pdf(format="A4", print_background=True, prefer_css_page_size=True)
        assert paper.startswith(b"%PDF")
        assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") + paper.count(b"/Type /Page/") >= 4
    finally:
        page.emulate_media(media="screen", color_scheme="light")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_no_width_makes_the_page_scroll_sideways(playwright: Playwright, reports: dict[str, Path], width: int) -> None:
    with opened(playwright, reports["sandbox"], width=width) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        wider = "c => c.querySelector('svg').getBoundingClientRect().width > c.clientWidth + 1"
        assert seen.page.evaluate(f"[...document.querySelectorAll('.chart')].filter({wider}).length") == 0


def test_a_tooltip_tells_the_number_under_the_pointer(seen: Seen) -> None:
    seen.page.emulate_media(media="screen", color_scheme="light")
    bar = seen.page.locator('[data-chart="funnel-0-0"] .mark-rect.role-mark path').nth(3)
    bar.scroll_into_view_if_needed()
    bar.hover()
    tip = seen.page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "Deals" in tip.inner_text()
    assert seen.violations == []


def test_boxes_can_be_ticked(seen: Seen) -> None:
    boxes = seen.page.locator("section[aria-labelledby=scrub] input[type=checkbox]")
    assert boxes.count() >= 2
    boxes.first.check()
    assert boxes.first.is_checked()
    boxes.first.uncheck()
