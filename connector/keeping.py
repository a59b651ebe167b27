"""What a run leaves behind: its measures as snapshots of the day, the targets they miss, the plans that wait, and who has been told.

Owner and segment rows are kept of windows that move with the day; past quarters and years can be computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from connector import alerts
from connector.app import App
from connector.errors import CODES, Finding, SettingsError, Undelivered
from connector.kpis import baseline, compute, targets
from connector.kpis.book.book import Book
from connector.kpis.definition import Measure
from connector.kpis.series import moving
from connector.kpis.targets import Breach
from connector.model.standing import Standing
from connector.model.waiting import Waiting
from connector.scorecard import guards

ALWAYS = ("weighted_pipeline_coverage", "expected_arr_by_quarter_end", "weekly_three")
"""Kept whether switched on or not: no-gos, the accuracy of forecasts and the weekly review look back on them."""
SLICES = ("owner", "segment")
MOVING = frozenset({"asof", "ALL", "T12M", "FQ"})
FIGURES = frozenset({"SC-E102", "SC-E103", "SC-E104", "SC-E105", "SC-E106", "SC-E107"})
"""Guards whose words are numbers, field names and ids."""
NEXT = CODES["SC-W099"].next_step
log = logging.getLogger(__name__)


def names(book: Book) -> list[str]:
    """The KPIs of which snapshots are taken: those switched on, :data:`ALWAYS`, and those with targets."""
    return list(dict.fromkeys([*compute.selected(book.settings.kpis), *ALWAYS, *targets.names(book)]))


def remember(app: App, known: Mapping[str, Book]) -> None:
    """Keep the measures of each book as snapshots of its day, and what misses its target."""
    for name, book in known.items():
        measures = compute.compute(book, names(book))
        app.store.measures.save(name, book.today, [m.as_dict() | {"value": targets.number(m.value)} for m in _kept(book, measures)])
        app.store.measures.prune(name, book.today, _of_the_baseline(book))
        verdict = targets.judge(book, measures)
        for unjudged in verdict.unjudged:
            log.info("target not judged", extra={"connection": name, "target": unjudged.target.key, "why": unjudged.words})
        unknown = {(u.target.key, u.subject) for u in verdict.unjudged}
        app.store.alerts.stand(name, [standing(name, book, breach) for breach in verdict.breaches], unknown)


def _kept(book: Book, measures: Iterable[Measure]) -> Iterator[Measure]:
    held = book.settings.targets
    for measure in measures:
        if measure.unit in ("label", "list"):
            continue
        dimension, _, value = measure.subject.partition("=")
        slice_ = dimension in SLICES and "," not in value and moving(measure.window, book.today, book.calendar) in MOVING
        if measure.subject == "company" or slice_ or any(targets.covers(target, measure) for target in held):
            yield measure


def _of_the_baseline(book: Book) -> Sequence[date]:
    start = book.settings.programme.baseline_on
    return [] if start is None else [start + timedelta(days=days) for days in (0, *baseline.DAYS)]


def standing(connection: str, book: Book, breach: Breach) -> Standing:
    """A breach as it is kept and sent."""
    target, measure, value = breach.target, breach.measure, targets.number(breach.measure.value)
    assert value is not None
    return Standing(
        connection=connection, target=target.key, subject=measure.subject, kpi=measure.kpi, variant=measure.variant, window=measure.window,
        unit=measure.unit, value=value, wanted=f"{'at_least' if target.rising else 'at_most'} {target.limit:.15g}",
        since=breach.since, no_go=breach.no_go, certain=breach.certain, low_n=measure.low_n, on=book.today, words=breach.words,
    )  # fmt: skip


def waiting(app: App, names: Sequence[str]) -> list[Waiting]:
    """The plans of these connections that wait for a person, the oldest first."""
    return [
        Waiting(
            name, plan.id, tuple((code, words) for code, words in guards_), plan.created_at, not any(code in guards.BLOCKING for code, _ in guards_)
        )
        for plan in reversed(app.store.plans.find(statuses=("awaiting",)))
        for name, guards_ in plan.guards.items()
        if name in names
    ]


def said(trip: Finding) -> str:
    """What may be told of a guard: figures of our own; of what a pull found only what its code means, since the CRM's words may be in it."""
    return trip.message if trip.code in FIGURES else CODES[trip.code].meaning


def _became(app: App, id: str) -> str:
    """``rejected`` and the like, with why another plan took its place. A person's reason stays here: it may name a deal."""
    plan = app.store.plans.get(id)
    return f"superseded: {plan.reason}" if plan.status == "superseded" else plan.status


def tell(app: App, names: Sequence[str]) -> list[Finding]:
    """Send what is news of these connections to every channel of connector.toml. What fails is a finding, and news again with the next run."""
    declared, found = app.resolved.settings.alerts, []
    missed = [standing for name in names for standing in app.store.alerts.standing(name)]
    waits = waiting(app, names)
    for channel in alerts.channels(declared, app.resolved.smtp_password, app.clock.sleep):
        now = app.clock.now()
        told = app.store.alerts.told(channel.name, names)
        notices: list[alerts.News] = [
            *alerts.news_of_plans(waits, app.store.alerts.told_to_wait(channel.name, names), lambda id: _became(app, id)),
            *alerts.news(missed, told, now, repeat_after=declared.repeat_after, min_interval=declared.min_interval),
        ]
        if not notices:
            continue
        said = f"{channel.name}: {len(notices)} alert{'' if len(notices) == 1 else 's'}"
        try:
            remark = channel.send(app.resolved.settings.project.name, notices)
        except (Undelivered, SettingsError) as error:
            found.append(Finding(code="SC-W099", severity="warning", message=f"{said} not delivered: {error.message}", next=error.next_step or NEXT))
            log.warning("alerts not delivered", extra={"channel": channel.name, "where": channel.where, "alerts": len(notices)})
            continue
        if remark:
            found.append(Finding(code="SC-W099", severity="warning", message=f"{said} delivered, but {remark}", next=NEXT))
        app.store.alerts.tell(channel.name, [(notice.about, notice.kind == "ended") for notice in notices], now)
        log.info("alerts delivered", extra={"channel": channel.name, "where": channel.where, "alerts": len(notices)})
    return found
