"""What the review of the golden org shows, number by number, and how unknown things are said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from connector.kpis.book.book import Book
from connector.kpis.definition import REGISTRY
from connector.kpis.example import Example, example
from connector.model.kpi_settings import KpiSettings
from connector.report import flow
from connector.report.content import Card, Cell, Report, Table
from tests.report.conftest import report_of


def line(table: Table, name: str) -> tuple[Cell, ...]:
    """The row of a name."""
    (row,) = (row for row in table.rows if row[0].text == name)
    return row


def texts(table: Table, name: str) -> list[str]:
    return [cell.text for cell in line(table, name)]


def card(report: Report, label: str) -> Card:
    (found,) = (card for card in report.section("numbers").cards if card.label.startswith(label))
    return found


# -- head and numbers of the week ------------------------------------------------------------------------------------


def test_the_head_says_as_of_when_and_by_which_definitions(golden: Report) -> None:
    assert dict(golden.facts) == {
        "As of": "15 Feb 2027, 12:00 America/New_York",
        "Fiscal quarter": "FY2027-Q1, 1 Jan 2027 – 31 Mar 2027",
        "Currency": "USD",
        "Stage history": "kept by the CRM",
        "Gate history": "from date fields",
        "Definitions": "version 1",
    }


def test_three_numbers_and_one(golden: Report) -> None:
    cells = [card.cell for card in golden.section("numbers").cards]
    assert [cell.value for cell in cells] == [pytest.approx(0.932), 469_000, 193_000, 1]
    assert [cell.text for cell in cells] == ["0.93x", "USD 469,000", "USD 193,000", "1"]
    assert cells[0].mark == "bad"
    assert golden.verdict == (
        "Weighted coverage FY2027-Q1 0.93x · Weighted funnel USD 469,000 · Expected ARR FY2027-Q1 USD 193,000 · In compliance review 1"
    )


def test_coverage_says_what_it_is_judged_by_and_who_says_so(golden: Report) -> None:
    said = [line.text for line in card(golden, "Weighted coverage").lines]
    assert said[:2] == ["below red", "no-go: below 2x in 2 months in a row"]
    (note,) = golden.section("numbers").notes
    for word in ("3x", "2x", "healthtech CRO KPIs", "medtech CRO KPIs", "healthcare CRO metrics"):
        assert word in note


def test_a_number_is_compared_with_its_snapshots(golden: Report) -> None:
    """1.5x on 31 January is of this quarter: 0.932 − 1.5. 2.1x on 31 December is of another one: no difference."""
    (table,) = golden.section("numbers").tables
    row = line(table, "Weighted coverage")
    assert (row[2].text, row[2].note) == ("1.50x", "31 Jan 2027")
    assert (row[3].value, row[3].text, row[3].mark) == (pytest.approx(-0.568), "−0.57x", "bad")
    assert (row[4].text, row[4].note, row[5].value, row[5].note) == ("2.10x", "31 Dec 2026, FY2026-Q4", None, "another quarter")
    assert [cell.note for cell in line(table, "Weighted funnel")][2] == "no snapshot"


def dated(*snapshots: tuple[str, str, float | None]) -> Example:
    """A company of one open deal, and snapshots (KPI.variant, date, value)."""
    company = example().deal("D1", "demo 2026-12-01")
    company.given["state"]["kpi_snapshots"] = [
        {"kpi": kpi.partition(".")[0], "variant": kpi.partition(".")[2], "subject": "company", "date": day, "value": value}
        for kpi, day, value in snapshots
    ]
    return company


@pytest.mark.parametrize(
    ("snapshots", "week", "month"),
    [
        ([("weekly_three.weighted_funnel", "2027-02-08", 150.0)], "+USD 50", "–"),  # 1000 × 0.2 = 200; seven days ago exactly
        ([("weekly_three.weighted_funnel", "2027-02-09", 150.0)], "–", "–"),  # six days are no week
        ([("weighted_pipeline_value", "2027-02-01", 300.0)], "−USD 100", "–"),  # its own KPI serves as well
        ([("weighted_pipeline_value", "2027-02-01", None)], "–", "–"),
        ([("weighted_pipeline_value.in_period", "2027-02-01", 300.0)], "–", "–"),
        ([("weighted_pipeline_value", "2027-01-15", 200.0)], "–", "±USD 0"),
        ([("weighted_pipeline_value", "2026-12-01", 200.0)], "–", "–"),  # too long ago for either
        ([("weighted_pipeline_value", "2027-02-01", 300.0), ("weighted_pipeline_value", "2027-02-05", 190.0)], "+USD 10", "–"),  # the newest
    ],
)
def test_which_snapshot_is_a_week_and_a_month_ago(snapshots: list[tuple[str, str, float | None]], week: str, month: str) -> None:
    section = report_of(dated(*snapshots).book()).section("numbers")
    if week == month == "–":
        assert not section.tables
        assert section.notes[0].startswith("There is no snapshot")
        return
    row = line(section.tables[0], "Weighted funnel")
    assert (row[3].text, row[5].text) == (week, month)


def test_coverage_by_month(golden: Report) -> None:
    (figure,) = golden.section("coverage").figures
    assert figure.table.column("Month") == ["Dec 2026", "Jan 2027", "Feb 2027"]
    assert figure.table.column("Coverage") == [2.1, 1.5, pytest.approx(0.932)]
    assert [row[-1].text for row in figure.table.rows] == ["amber", "below red", "below red"]
    (chart,) = figure.charts
    assert [row["coverage"] for row in chart.rows] == figure.table.column("Coverage")
    assert chart.options == {"green": 3.0, "red": 2.0}


def test_a_month_without_a_snapshot_is_a_gap_and_the_last_of_a_month_counts() -> None:
    known = {"2026-11-03": 1.0, "2026-11-28": 3.5, "2027-01-31": 2.5}
    made = dated(*(("weighted_pipeline_coverage", day, value) for day, value in known.items()))
    (figure,) = report_of(made.book()).section("coverage").figures
    shown = list(zip(figure.table.column("Month"), figure.table.column("Coverage"), strict=True))
    assert shown == [("Nov 2026", 3.5), ("Dec 2026", None), ("Jan 2027", 2.5)]  # no quota: now is unknown, and is not drawn as 0
    assert figure.table.rows[1][3].text == "– no snapshot"
    assert [row[-1].mark for row in figure.table.rows] == ["good", "quiet", "warn"]


# -- how deals move ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "counts", "goal", "rate"),
    [
        ("Qualified meeting", [8, 8, 0, 0], "Demo", 1.0),
        ("Demo", [8, 5, 1, 2], "Clinical validation", 2 / 6),  # on: O1 O2 O3 O4 O6, closed: O5, pending: O7 O8
        ("VAC review", [3, 1, 1, 1], "Contracting", 1 / 2),
        ("Compliance and legal", [0, 0, 0, 0], "Contracting", None),
    ],
)
def test_entry_cohorts_of_the_funnel(golden: Report, stage: str, counts: list[int], goal: str, rate: float | None) -> None:
    (figure,) = golden.section("funnel").figures
    row = line(figure.table, stage)
    assert [cell.value for cell in row[1:5]] == counts
    assert row[6].text == goal
    assert row[7].value == (rate if rate is None else pytest.approx(rate))
    entered, reached, closed, pending = counts
    assert entered == reached + closed + pending
    drawn = {str(bar["outcome"]): bar["deals"] for bar in figure.charts[0].rows if bar["stage"] == stage}
    assert drawn == {"moved on": reached, "closed": closed, "pending": pending}


def test_conversion_agrees_with_the_kpi_where_there_is_one(golden_book: Book) -> None:
    """meeting → demo is a pair of neighbours on the ladder."""
    rung = golden_book.ladder.rungs["qualified_meeting"]
    goal, made = flow.onward(golden_book, rung)
    measure = next(REGISTRY["meeting_to_demo_conversion"].measures(golden_book))
    assert (goal, made.reached / made.resolved, made.resolved, made.pending) == ("Demo", measure.value, measure.n, measure.pending or 0)


def test_from_the_last_stage_the_next_is_won() -> None:
    book = example().deal("D1", "verbal 2026-06-01", "closed_won 2026-07-01").deal("D2", "verbal 2026-06-01", "closed_lost 2026-07-01").book()
    assert flow.onward(book, book.ladder.rungs["verbal"]) == ("Won", flow.Passage(2, 1, 2))
    assert flow.passage(book, "verbal") == flow.Passage(2, 1, 2)


def test_a_return_to_a_lower_stage_is_not_moving_on() -> None:
    book = example().deal("D1", "pilot 2026-06-01", "demo 2026-07-01").deal("D2", "pilot 2026-06-01", "demo 2026-07-01", "verbal 2026-08-01").book()
    assert flow.passage(book, "pilot") == flow.Passage(2, 1, 1)


def test_rates_are_never_multiplied_and_the_page_says_so(golden: Report) -> None:
    assert any("Never multiply" in note for note in golden.section("funnel").notes)


def test_time_in_stage_is_the_kpis_own(golden: Report, golden_book: Book) -> None:
    (figure,) = golden.section("dwell").figures
    assert len(figure.charts) == len(figure.table.rows) == len(flow.curves(golden_book))
    expected = {
        m.subject.removeprefix("stage="): m
        for m in REGISTRY["stage_dwell_time"].measures(golden_book)
        if m.variant == "km_median" and "," not in m.subject
    }
    for stage, curve in flow.curves(golden_book).items():
        row = line(figure.table, golden_book.ladder.label(stage))
        assert (curve.median, curve.n, curve.running) == (expected[stage].value, expected[stage].n, expected[stage].pending or 0)
        assert (row[1].value, row[2].value, row[3].value) == (curve.n, curve.running, curve.median)
    assert texts(figure.table, "Contracting")[3:5] == ["20 days", "not reached (1 running)"]


def test_a_curve_says_nothing_beyond_the_longest_visit(golden: Report) -> None:
    """VAC review: a quarter is still there after 30 days; the longest visit runs for 60, so nobody knows about 90."""
    (figure,) = golden.section("dwell").figures
    assert texts(figure.table, "VAC review")[5:] == ["25.0 %", "–", "–"]
    assert texts(figure.table, "Pilot")[5:] == ["75.0 %", "0.0 %", "0.0 %"]


def test_a_curve_is_steps_from_everybody_on(golden: Report) -> None:
    (chart,) = (chart for chart in golden.section("dwell").figures[0].charts if chart.title == "VAC review")
    steps = [(row["days"], row["share"]) for row in chart.rows]
    assert steps == [(0.0, 1.0), (30.0, 0.25), (60.0, 0.25)]  # 3 of 4 leave after 30 days, one runs since 60
    assert chart.options["median"] == 30


def test_gates_open_now(golden: Report) -> None:
    section = golden.section("gates")
    (figure,) = section.figures
    assert section.lead == "2 gates open on 2 deals; none is stuck."
    assert texts(figure.table, "Deal O6") == ["Deal O6", "VAC", "Rep R1", "17 Dec 2026", "60 days", "60 days", "within"]
    assert texts(figure.table, "Deal O2") == ["Deal O2", "Legal", "Rep R2", "27 Dec 2026", "50 days", "no limit yet", "–"]
    assert [row["state"] for row in figure.charts[0].rows] == ["within its limit", "no limit yet"]


def test_a_gate_beyond_its_limit_is_stuck_and_comes_first() -> None:
    company = example().set("thresholds.gate_limit_days", {"vac": 30, "legal": 60})
    for id, gate, opened in (("D1", "legal", "2026-12-27"), ("D2", "vac", "2027-01-15")):  # 50 of 60 days, 31 of 30
        company.deal(id, "demo 2026-06-01").add("gates", opportunity=id, gate=gate, opened_on=opened)
    section = report_of(company.book()).section("gates")
    assert section.lead == "2 gates open on 2 deals; 1 is stuck."
    assert [row[0].value for row in section.figures[0].table.rows] == ["D2", "D1"]
    assert [(row[5].value, row[6].text) for row in section.figures[0].table.rows] == [(30.0, "stuck"), (60.0, "within")]


# -- deals and segments ------------------------------------------------------------------------------------------------


def test_win_rates_come_with_intervals_and_low_numbers_are_marked(golden: Report) -> None:
    by_segment, by_size = golden.section("win-rate").figures
    hospital = line(by_segment.table, "Hospital")
    assert [cell.text for cell in hospital] == ["Hospital", "50.0 %", "9–91 %", "1", "2"]
    assert hospital[1].note == "low n"
    assert by_size.table.column("Closed") == [2, 2]


def test_the_company_has_no_single_blended_rate(golden: Report) -> None:
    (table,) = golden.section("win-rate").tables
    rates = {row[0].text: row[2].value for row in table.rows}
    assert len(rates) == 5
    assert rates["Won of won, lost and no decision"] == 0.5
    assert rates["Won amount of closed amount"] == pytest.approx(140_000 / 520_000)
    assert rates["Ever won, open deals counted as such"] == pytest.approx(1 / 7 + 5 / 7 / 5)


def test_below_rank_n_nothing_is_ranked() -> None:
    """a: 1 of 1, z: 0 of 1, m: 3 of 5, k: 1 of 5. Of five and more the better comes first; the others follow by name, whatever their rate."""
    company = example().set("thresholds.rank_n", 5)
    for segment, won, lost in (("z", 0, 1), ("k", 1, 4), ("a", 1, 0), ("m", 3, 2)):
        for number, end in enumerate(["closed_won"] * won + ["closed_lost"] * lost):
            company.deal(f"{segment}{number}", "demo 2026-06-01", f"{end} 2026-09-01", segment=segment)
    (figure, *_) = report_of(company.book()).section("win-rate").figures
    assert [row[0].text for row in figure.table.rows] == ["M", "K", "A", "Z"]
    assert [row["label"] for row in figure.charts[0].rows] == ["M", "K", "A", "Z"]


def test_the_scrub_names_reasons_and_asks_for_a_choice(golden: Report) -> None:
    (stale,) = golden.scrub
    assert (stale.opportunity, stale.amount, stale.reasons) == ("O7", Decimal("15000"), ("stage_age", "close_date_past"))
    section = golden.section("scrub")
    (table,) = section.tables
    assert [column.kind for column in table.columns[-2:]] == ["box", "box"]
    assert [column.head for column in table.columns[-2:]] == ["Advance", "Close"]
    assert texts(table, "Deal O7") == [
        "Deal O7", "Rep R2", "Demo", "195 days", "USD 15,000", "in Demo since 4 Aug 2026; close date 31 Dec 2026 is past", "Advance Deal O7",
        "Close Deal O7",
    ]  # fmt: skip
    assert section.lead == "1 open deal of any type is stale; 1 of new business, 2.4 % of its open value."


def test_large_deals_are_scrubbed_first_and_an_unknown_amount_is_no_zero() -> None:
    company = example().set("thresholds.stale_after_days", {"default": 30})
    for id, amount, currency in (("D1", None, "USD"), ("D2", 10, "USD"), ("D3", 500, "USD"), ("D4", 900, "JPY")):
        company.deal(id, "demo 2026-06-01", amount=amount, currency=currency)
    report = report_of(company.book())
    assert [stale.opportunity for stale in report.scrub] == ["D3", "D2", "D1", "D4"]
    (table,) = report.section("scrub").tables
    assert [(row[4].value, row[4].text, row[4].note) for row in table.rows[2:]] == [(None, "–", "no amount"), (None, "–", "no exchange rate")]


def test_data_health_by_company_owner_field_and_deal(golden: Report) -> None:
    section = golden.section("health")
    assert section.lead == "80.0 % of the required fields of 4 open deals of new business are filled."
    owners, deals = section.tables
    assert [[cell.value for cell in row[1:]] for row in owners.rows] == [[1, 0, 1.0], [3, 4, pytest.approx(11 / 15)]]
    missing = {row[0].value: row[3].text for row in deals.rows}
    assert missing == {"O7": "Close date, Next step", "O8": "Amount, Primary contact"}
    assert sum(int(str(n)) for n in section.figures[0].table.column("Deals that lack it")) == 4


# -- unknown, omitted, added ---------------------------------------------------------------------------------------------


def test_without_quotas_the_page_says_what_to_add() -> None:
    report = report_of(example().deal("D1", "demo 2026-12-01").book())
    coverage = card(report, "Weighted coverage").cell
    assert (coverage.value, coverage.text) == (None, "– needs inputs/quotas.csv")
    for key in ("numbers", "coverage"):
        missing = report.section(key).missing
        assert missing is not None
        assert "owner_key, period, amount" in missing
        assert "quotas: inputs/quotas.csv" in missing


def test_quotas_of_another_quarter_are_named_as_what_lacks() -> None:
    book = example().deal("D1", "demo 2026-12-01").file("quotas", {"owner_key": "R1", "period": "FY2026-Q1", "amount": "100"}).book()
    assert card(report_of(book), "Weighted coverage").cell.text == "– needs quotas for FY2027-Q1"


def test_an_empty_company_has_a_report_of_dashes_not_zeros() -> None:
    report = report_of(example().book())
    assert card(report, "Weighted coverage").cell.value is None
    (table,) = report.section("win-rate").tables
    assert {row[2].text for row in table.rows} == {"–"}
    assert report.section("dwell").missing
    assert report.section("health").missing
    assert report.section("scrub").tables[0].empty == "no deal is stale"
    assert not report.section("gates").figures


def test_every_chart_has_its_numbers_in_a_table(golden: Report) -> None:
    figures = [figure for section in golden.sections for figure in section.figures]
    assert len(figures) == 7
    assert all(figure.table.rows and figure.charts for figure in figures)


def test_no_cell_of_the_report_is_an_unexplained_nothing(golden: Report) -> None:
    tables = [t for s in golden.sections for t in (*s.tables, *(f.table for f in s.figures))]
    unknown = [c for t in tables for row in t.rows for c, column in zip(row, t.columns, strict=True) if c.value is None and column.kind != "box"]
    assert unknown
    assert all(cell.text.startswith(("–", "not reached", "no limit")) for cell in unknown)


def test_names_may_be_omitted(golden_book: Book) -> None:
    report = report_of(golden_book, names=False)
    assert "Deal O" not in repr(report)
    assert report.section("scrub").tables[0].rows[0][0].text == "O7"


def with_settings(book: Book, **changed: object) -> Book:
    return replace(book, settings=KpiSettings.model_validate(book.settings.model_dump(by_alias=True) | changed), memo={})


def test_missed_targets_are_told(golden_book: Book) -> None:
    held = [{"kpi": "weighted_pipeline_coverage", "at_least": 3, "source": "the board"}, {"kpi": "win_rate", "window": "T12M", "at_least": 0.4}]
    report = report_of(with_settings(golden_book, targets=held))
    assert [(b.target.kpi, b.target.source, round(b.over, 3)) for b in report.breaches] == [("weighted_pipeline_coverage", "the board", 2.068)]


def test_the_leaderboard_only_where_a_setting_asks_for_it_and_with_its_warning(golden_book: Book) -> None:
    assert "leaderboard" not in {section.key for section in report_of(golden_book).sections}
    on = golden_book.settings.programme.model_dump() | {"leaderboard": True}
    section = report_of(with_settings(golden_book, programme=on)).section("leaderboard")
    assert "counting activity is a trap" in section.lead
    assert {row[1].value for row in section.tables[0].rows} == {None}  # two reps are no ranking


def test_the_same_book_gives_the_same_report(golden: Report, golden_book: Book) -> None:
    assert report_of(golden_book) == golden
    assert golden_book.today == date(2027, 2, 15)
