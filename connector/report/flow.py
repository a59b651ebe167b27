"""How deals move: the funnel by entry cohort, time in each stage, and the gates that are open now."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from connector.kpis.benchmarks import gate_limits
from connector.kpis.book.book import Book
from connector.kpis.cards.text import day_text
from connector.kpis.questions.conversion import entrants, reaching, winning
from connector.kpis.shapes import by, survival
from connector.kpis.stats import Curve, wilson
from connector.model.ladder import Rung
from connector.report import words
from connector.report.content import Cell, Chart, Column, Figure, Section, Table, Value
from connector.report.look import Look

SHARES = (30, 90, 180)
"""Days after which the table says how many are still there."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The entry cohort of a stage: ``reached`` any later stage (or was won), ``resolved`` those and the closed ones; the rest is pending."""

    entered: int
    reached: int
    resolved: int

    @property
    def pending(self) -> int:
        return self.entered - self.resolved

    @property
    def closed(self) -> int:
        return self.resolved - self.reached


def passage(book: Book, stage: str) -> Passage:
    """New business that entered the stage in T12M, and what became of it."""
    cohort, rank = entrants(book, stage), book.ladder.ranks[stage]
    later = book.visits.join(cohort.select("entry", opportunity="id"), on="opportunity")
    beyond = later.filter((pl.col("number") > pl.col("entry")) & (pl.col("rank") > rank))["opportunity"].implode()
    reached = cohort.filter(pl.col("id").is_in(beyond) | (pl.col("cls") == "won"))
    lost = cohort.filter(~pl.col("id").is_in(reached["id"].implode()) & (pl.col("cls") != "open"))
    return Passage(cohort.height, reached.height, reached.height + lost.height)


def onward(book: Book, rung: Rung) -> tuple[str, Passage]:
    """The next sequential stage (from the last one: won), and how many of the entry cohort reached just that; skipping it is not reaching it."""
    ranks = book.ladder.ranks
    above = [other for other in book.ladder.ladder if other.kind == "sequential" and ranks[other.key] > ranks[rung.key]]
    cohort = entrants(book, rung.key)
    cohort = reaching(book, cohort, above[0].key) if above else winning(cohort)
    return above[0].label if above else "Won", Passage(cohort.height, int(cohort["reached"].sum()), int(cohort["resolved"].sum()))


def funnel(look: Look) -> Section:
    """Per rung of the ladder: entered, moved on, closed, pending, and the conversion to the next stage."""
    book = look.book
    rungs = [rung for rung in book.ladder.ladder if rung.key in book.ladder.ranks]
    rows, drawn = [], list[dict[str, Value]]()
    for rung in rungs:
        made = passage(book, rung.key)
        goal, next_step = onward(book, rung)
        rows.append((
            words.text(rung.label, "gate" if rung.kind == "gate" else ""), words.number(made.entered), words.number(made.reached),
            words.number(made.closed), words.number(made.pending), _share(look, made), words.text(goal), _share(look, next_step),
        ))  # fmt: skip
        parts = {"moved on": made.reached, "closed": made.closed, "pending": made.pending}
        drawn += [{"stage": rung.label, "outcome": name, "deals": number, "place": i} for i, (name, number) in enumerate(parts.items())]
    heads = ("Stage", ">Entered", ">Moved on", ">Closed", ">Pending", ">Moved on of resolved", "Next stage", ">Reached it")
    chart = Chart("funnel", "Entry cohorts by stage", tuple(drawn), "Bars, one per stage: deals that moved on, closed without, or are pending.")
    table = Table("Entry cohorts of the last twelve months", tuple(_column(head) for head in heads), tuple(rows))
    cycle = look.measure("sales_cycle_length", "km_p75")
    notes = (
        "Each stage has its own cohort: deals whose first visit to it began in the last twelve months. Moved on: any later stage, or won. "
        "Closed: lost, no decision, without moving on. Pending: still there; they are in no rate.",
        "Never multiply these rates: deals skip stages and come back, so the product of neighbours is wrong by an order of magnitude.",
        f"Three quarters of all deals close within: {words.cell(book, cycle).text}. Cohorts younger than that are immature.",
    )
    lead = f"New business that entered {look.rolling}: how far deals get."
    return Section("funnel", "Funnel", lead, figures=(Figure((chart,), table, beside=False),), notes=notes)


def _share(look: Look, made: Passage) -> Cell:
    if not made.resolved:
        return Cell(None, words.DASH, f"{made.pending:,} pending" if made.pending else "", "quiet")
    low = made.resolved < look.book.settings.thresholds.low_n
    note = f"{made.reached} of {made.resolved}, {words.interval(*wilson(made.reached, made.resolved))}" + (", low n" if low else "")
    return Cell(made.reached / made.resolved, words.percent(made.reached / made.resolved), note)


def _column(head: str) -> Column:
    return Column(head.lstrip(">"), "number" if head.startswith(">") else "text")


def curves(book: Book) -> dict[str, Curve]:
    """Stage → its Kaplan–Meier curve, as ``stage_dwell_time`` has it: visits of new business, running ones censored; in ladder order."""
    rows = book.of_new_business(book.dwell).filter(pl.col("stage").is_not_null()).with_columns(done=~pl.col("running"))
    found = {stage: survival(part) for stage, part in by(rows, "stage")}
    return {rung.key: found[rung.key] for rung in book.ladder.ladder if rung.key in found}


def surviving(curve: Curve, days: float, longest: float) -> float | None:
    """The share still in the stage after so many days; None beyond the longest visit, unless everybody has left."""
    known = [share for time, share in zip(curve.times, curve.survival, strict=True) if time <= days]
    share = known[-1] if known else 1.0
    return None if days > longest and share > 0 else share


def dwell(look: Look) -> Section:
    """A survival curve per stage, and its quantiles."""
    book, found = look.book, curves(look.book)
    title, lead = "Time in stage", "New business, all time: the share of visits that still last after so many days. The dashed line is the median."
    if not found:
        return Section("dwell", title, lead, missing="There is no stage history yet.")
    longest = dict(book.dwell.filter(pl.col("opportunity").is_in(book.new_ids)).group_by("stage").agg(pl.col("days").max()).iter_rows())
    tails = [tail for curve in found.values() if (tail := curve.quantile(0.9)) is not None]
    shown = max([*tails, 1.0]) if tails else float(max(longest.values()))
    charts, rows = [], []
    for stage, curve in found.items():
        median, p75 = (look.measure("stage_dwell_time", kind, f"stage={stage}") for kind in ("km_median", "km_p75"))
        charts.append(_curve(look, stage, curve, longest[stage], shown))
        shares = [surviving(curve, days, longest[stage]) for days in SHARES]
        still = [Cell(share, words.percent(share), mark="quiet" if share is None else "") for share in shares]
        cells = words.cell(book, median), words.cell(book, p75), *still
        rows.append((words.text(look.stage(stage)), words.number(curve.n), words.number(curve.running), *cells))
    heads = ("Stage", ">Visits", ">Running", ">Median", ">p75", *(f">After {days} days" for days in SHARES))
    table = Table("Time in stage, and the share still there", tuple(_column(head) for head in heads), tuple(rows))
    notes = (
        "Kaplan–Meier over all visits: a running visit counts as long as it has lasted, not as ended. Not reached: fewer than that share have left. "
        f"The curves end at {shown:,.0f} days, the longest time by which nine in ten visits to a stage have ended.",
    )
    return Section("dwell", title, lead, figures=(Figure(tuple(charts), table, beside=False),), notes=notes)


def _curve(look: Look, stage: str, curve: Curve, longest: int, shown: float) -> Chart:
    steps = [(0.0, 1.0), *zip(curve.times, curve.survival, strict=True)]
    if longest > steps[-1][0]:
        steps.append((float(longest), steps[-1][1]))
    median = curve.median
    said = "not reached" if median is None else words.days(median)
    rows = tuple({"days": days, "share": share} for days, share in steps)
    told = f"Falling steps over {words.plural(curve.n, 'visit')}, {curve.running} of them running; median {said}."
    return Chart("survival", look.stage(stage), rows, told, {"shown": shown, "median": median})


def gates(look: Look) -> Section:
    """Every open gate: since when, its limit, and whether it is stuck."""
    book, limits = look.book, gate_limits(look.book)
    set_by_hand = book.settings.thresholds.gate_limit_days
    owners = dict(book.open_deals.select("id", "owner").iter_rows())
    rows, drawn, late = [], list[dict[str, Value]](), 0
    known = book.gates.filter("open").select("opportunity", "gate", "opened", "days", "compliance").rows()
    for id, gate, opened, days, compliance in sorted(known, key=lambda row: (-_over(row[3], limits.get(row[1])), row[0], row[1])):
        limit, declared = limits.get(gate), book.ladder.gate_by_key.get(gate)
        stuck = limit is not None and days > limit
        late += stuck
        name = declared.label if declared else words.label(gate)
        source = "" if limit is None or gate in set_by_hand else "p75 so far"
        allowed = Cell(limit, words.days(limit), source) if limit is not None else Cell(None, "no limit yet", mark="quiet")
        state = Cell(stuck, "stuck", mark="bad") if stuck else Cell(stuck, "within", mark="quiet") if limit is not None else Cell(None, words.DASH)
        rows.append((
            look.deal(id), words.text(name, "compliance" if compliance else ""), look.owner(owners.get(id)),
            Cell(opened, day_text(opened)), Cell(days, words.days(days), mark="bad" if stuck else ""), allowed, state,
        ))  # fmt: skip
        drawn.append(
            {
                "deal": look.deal(id).text,
                "gate": name,
                "days": days,
                "limit": limit,
                "state": "no limit yet" if limit is None else "stuck" if stuck else "within its limit",
            }
        )
    heads = ("Deal", "Gate", "Owner", "Since", ">Open for", ">Limit", "")
    table = Table("Gates open now", tuple(_column(head) for head in heads), tuple(rows), "no gate is open")
    chart = Chart("gates", "Days open, by gate", tuple(drawn), f"Points, one per open gate; {late} lie beyond the limit of their gate.")
    deals = len({row[0] for row in known})
    verdict = f"{words.plural(late, 'is', 'are')} stuck" if late else "none is stuck"
    lead = f"{words.plural(len(rows), 'gate')} open on {words.plural(deals, 'deal')}; {verdict}."
    notes = (
        "A gate is stuck when it is open longer than its limit: gate_limit_days of kpis.yaml, else the 75 % point of past gates. "
        f"How openings and decisions are known: {book.quality('gates').replace('_', ' ')}. Open deals of any type.",
    )
    return Section("gates", "Gates open now", lead, figures=(Figure((chart,), table, beside=False),) if rows else (), notes=notes)


def _over(days: int, limit: float | None) -> float:
    """How many times its limit a gate is open; those without a limit come last."""
    return days / limit if limit else 0.0
