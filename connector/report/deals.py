"""Deals and their segments: win rates with intervals, the monthly scrub, and what data is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from connector.kpis.cards.deal import scorecards
from connector.kpis.definition import Measure
from connector.kpis.questions.pipeline import weighted
from connector.kpis.questions.programme import FIELDS, data_gaps
from connector.report import words
from connector.report.content import Cell, Chart, Column, Figure, Section, Stale, Table, Value
from connector.report.look import Look

WAYS = {
    "": ("Won of won, lost and no decision", "the broad one, of deals closed in the window"),
    "narrow": ("Won of won and lost", "no decision left out"),
    "value": ("Won amount of closed amount", "large deals weigh more"),
    "created_cohort": ("Won so far of all created", "created in the window, open ones count as not won yet"),
    "competing_risks": ("Ever won, open deals counted as such", "Aalen–Johansen, all time"),
}
"""Variant of ``win_rate`` → what it divides, and how to read it."""


def win_rate(look: Look) -> Section:
    """Win rates by segment and by size, each with its interval, and the company's in five ways: never one number alone."""
    figures = []
    for dimension, title in (("segment", "segment"), ("size", "deal size")):
        found = look.along("win_rate", dimension)
        if found:
            figures.append(_by_dimension(look, title, found))
    ways = []
    for variant, (label, note) in WAYS.items():
        measure = look.measure("win_rate", variant)
        shown = words.cell(look.book, measure), words.number(measure.n), words.text(words.interval(measure.ci_low, measure.ci_high))
        ways.append((words.text(label, note), words.text(measure.window), *shown))
    heads = (Column("Divided how"), Column("Window"), Column("Win rate", "number"), Column("n", "number"), Column("95 % interval"))
    table = Table("The company’s win rate, in five ways", heads, tuple(ways))
    rank = look.book.settings.thresholds.rank_n
    notes = (
        f"Intervals are Wilson, 95 %; where they overlap there is no visible difference. Below n = {rank} nothing is ranked: such rows come last, "
        f"by name. Low n: fewer than {look.book.settings.thresholds.low_n} closed deals.",
        "A blended win rate hides what it is made of: 25–30 % for small deals beside 10–15 % for large contracts is usual (medtech CRO KPIs).",
    )
    lead = f"New business closed {look.rolling}, by the day it closed."
    return Section("win-rate", "Win rate by segment", lead, figures=tuple(figures), tables=(table,), notes=notes)


def _by_dimension(look: Look, title: str, found: Mapping[str, Measure]) -> Figure:
    rank = look.book.settings.thresholds.rank_n
    ordered = sorted(found.items(), key=lambda kv: (kv[1].records < rank, -(words.figure(kv[1]) or 0) if kv[1].records >= rank else 0, kv[0]))
    rows, drawn = [], list[dict[str, Value]]()
    for key, measure in ordered:
        value, name = words.figure(measure), words.label(key)
        won = None if value is None else round(value * measure.records)
        rows.append((
            words.text(name), words.cell(look.book, measure), words.text(words.interval(measure.ci_low, measure.ci_high)),
            words.number(won), words.number(measure.n),
        ))  # fmt: skip
        drawn.append({
            "label": name, "rate": value, "low": measure.ci_low, "high": measure.ci_high, "n": measure.n,
            "sample": "low n" if measure.low_n else "enough",
        })  # fmt: skip
    heads = (Column(title.capitalize()), Column("Win rate", "number"), Column("95 % interval"), Column("Won", "number"), Column("Closed", "number"))
    chart = Chart("intervals", f"Win rate by {title}", tuple(drawn), f"A point and its interval for each {title}; low numbers are hollow.")
    return Figure((chart,), Table(f"Win rate by {title}, last twelve months", heads, tuple(rows)))


def stale_deals(look: Look) -> tuple[Stale, ...]:
    """The stale deals, the largest first; deals without an amount last."""
    book = look.book
    amounts = dict(weighted(book).select("id", "amount").iter_rows())
    found = []
    for id, card in scorecards(book).items():
        if card.stale:
            row = card.context.row
            found.append(Stale(
                id, look.deal_names.get(id), row["owner"], look.stage(card.stage), card.days_in_stage, amounts[id],
                tuple(card.stale_reason), card.text["stale_reason"] or "",
            ))  # fmt: skip
    return tuple(sorted(found, key=lambda stale: (stale.amount is None, -(stale.amount or 0), stale.opportunity)))


def scrub(look: Look, stale: tuple[Stale, ...]) -> Section:
    """Each stale deal with its reasons, and the choice to be made."""
    share, count = look.measure("stale_pipeline_share"), look.measure("stale_pipeline_share", "count")
    rows = tuple(
        (
            look.deal(deal.opportunity), look.owner(deal.owner), words.text(deal.stage),
            Cell(deal.days_in_stage, words.days(deal.days_in_stage)), _amount(look, deal), words.text(deal.text),
            Cell(None, f"Advance {deal.name or deal.opportunity}"), Cell(None, f"Close {deal.name or deal.opportunity}"),
        )
        for deal in stale
    )  # fmt: skip
    heads = (
        Column("Deal"), Column("Owner"), Column("Stage"), Column("In stage", "number"), Column("Value", "number"), Column("Why"),
        Column("Advance", "box"), Column("Close", "box"),
    )  # fmt: skip
    part = "" if share.value is None else f", {words.percent(words.figure(share))} of its open value"
    lead = f"{words.plural(len(stale), 'open deal')} of any type {'is' if len(stale) == 1 else 'are'} stale; {count.value} of new business{part}."
    table = Table("Stale deals: advance or close", heads, rows, "no deal is stale")
    notes = ("Once a month every deal here is either advanced (a next step with a date) or closed. Six months in evaluation is not real pipeline "
             "(medtech CRO KPIs). The largest come first.",)  # fmt: skip
    return Section("scrub", "The monthly scrub", lead, tables=(table,), notes=notes)


def _amount(look: Look, deal: Stale) -> Cell:
    if deal.amount is not None:
        return Cell(deal.amount, words.money(deal.amount, look.currency))
    (why,) = look.book.open_deals.filter(id=deal.opportunity)["amount_why"]
    return Cell(None, words.DASH, "no exchange rate" if why == "missing_fx" else "no amount", "quiet")


def health(look: Look) -> Section:
    """How complete the required fields are: company, per owner, per field, and what each deal lacks."""
    book = look.book
    lacks = words.lacking(book, "data_health_score")
    if lacks:
        return Section("health", "Data health", "How many of the required fields of open deals are filled.", missing=lacks)
    gaps, company = data_gaps(book), look.measure("data_health_score")
    counted: Counter[str] = Counter(key for id in book.open_new["id"] for key in gaps[id][0])
    drawn: tuple[dict[str, Value], ...] = tuple({"field": FIELDS[key], "deals": number} for key, number in counted.most_common())
    share = Table("Missing fields, new business", (Column("Field"), Column("Deals that lack it", "number")),
                  tuple((words.text(FIELDS[key]), words.number(number)) for key, number in counted.most_common()), "nothing is missing")  # fmt: skip
    chart = Chart("gaps", "Deals that lack a field", drawn, f"Bars, one per field: {sum(counted.values())} missing values in all.")
    score = words.cell(book, company)
    return Section(
        "health", "Data health", f"{score.text} of the required fields of {words.plural(company.records, 'open deal')} of new business are filled.",
        figures=(Figure((chart,), share),) if drawn else (), tables=(_owners(look), _lists(look)),
        notes=(
            "Which fields are required depends on the stage that a deal has reached (required_fields of kpis.yaml).",
            "The text of a next step is never read: whether there is one is all that counts.",
        ),
    )  # fmt: skip


def _owners(look: Look) -> Table:
    gaps = data_gaps(look.book)
    owned = dict(look.book.open_new.select("id", "owner").iter_rows())
    missing: Counter[str] = Counter()
    for id, owner in owned.items():
        missing[owner or "unknown"] += len(gaps[id][0])
    found = look.along("data_health_score", "owner")
    rows = [
        (look.owner(None if owner == "unknown" else owner), words.number(measure.n), words.number(missing[owner]), words.cell(look.book, measure))
        for owner, measure in found.items()
    ]
    heads = (Column("Owner"), Column("Open deals", "number"), Column("Missing fields", "number"), Column("Filled", "number"))
    return Table("By owner, in the order of names", heads, tuple(sorted(rows, key=lambda row: row[0].text)), "no open deal has an owner")


def _lists(look: Look) -> Table:
    gaps = data_gaps(look.book)
    deals = sorted(look.book.open_deals.select("id", "owner", "stage").rows(), key=lambda deal: (-len(gaps[deal[0]][0]), deal[0]))
    rows = tuple(
        (
            look.deal(id), look.owner(owner), words.text(look.stage(stage)), words.text(", ".join(FIELDS[key] for key in gaps[id][0])),
            Cell(1 - len(gaps[id][0]) / gaps[id][1], words.percent(1 - len(gaps[id][0]) / gaps[id][1])),
        )
        for id, owner, stage in deals
        if gaps[id][0]
    )  # fmt: skip
    heads = (Column("Deal"), Column("Owner"), Column("Stage"), Column("Missing"), Column("Filled", "number"))
    return Table("What each deal lacks", heads, rows, "no deal lacks a required field")
