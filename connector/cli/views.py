"""Reports as tables and lines: one function per thing that several verbs show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any

from connector.cli.output import Table, count
from connector.errors import CODES

if TYPE_CHECKING:
    from connector.kpis.baseline import Progress
    from connector.kpis.definition import Measure
    from connector.kpis.series import Point
    from connector.model.standing import Standing
    from connector.scorecard.plan import FieldChange, Plan, PlannedUpdate, Scope
    from connector.sync import PullReport, PushReport

SHOWN = 8
FIELDS = 8
"""Deals, and values of a deal, that a plan shows unless asked for all."""


def pulled(reports: Sequence[PullReport], *, every: bool = False) -> Table:
    """What was pulled per stream; without ``every`` only the streams that brought something."""
    rows = [
        (r.connection, s.stream, s.object, f"{s.records:,}", f"{s.upserts:,}", s.deleted or "", s.dead_letters or "", s.calls, f"{s.seconds:.1f}")
        for r in reports
        for s in r.streams
        if every or s.records or s.dead_letters
    ]
    heads = ("connection", "stream", "object", ">records", ">rows kept", ">deleted", ">dead letters", ">calls", ">seconds")
    return Table(heads, rows)


def compared(reports: Sequence[PullReport]) -> list[str]:
    """One line a connection whose counts were compared with the CRM's own, and one for streams that could not be read."""
    lines = []
    for report in reports:
        found = report.reconciled
        off = [r.stream for r in found if r.missing or r.vanished]
        gone, missed = sum(r.gone for r in found), sum(r.brought for r in found)
        if found:
            said = f"not for {', '.join(off)}" if off else "they agree"
            buried = f" · {count(gone, 'record')} gone without a trace, now deleted here too" if gone else ""
            brought = f" · {count(missed, 'record')} missing here, now read by id" if missed else ""
            lines.append(f"{report.connection}: {count(len(found), 'stream')} compared with the CRM's own count, {said}{buried}{brought}")
        if report.failures:
            lines.append(f"{report.connection}: not read: {', '.join(f.stream for f in report.failures)}")
    return lines


def plan(made: Plan, *, limit: int = SHOWN, every: bool = False, names: bool, warnings: bool = True) -> list[str | Table]:
    """A plan: verdict, per connection, per field, then records with before → after and why. ``warnings`` False: they are told beside it."""
    lines: list[str | Table] = [made.verdict()]
    for scope in made.scopes:
        mine = made.of(scope.connection)
        values = sum(len(u.changes) for u in mine)
        held = f" · {scope.held} wait for their week" if scope.held else ""
        aside = f" · {scope.set_aside} set aside (stage not mapped)" if scope.set_aside else ""
        lines.append(f"  {scope.connection}  {_population(scope, mine)}  {count(values, 'value')}{held}{aside}")
        lines += [f"  {finding.code}  {finding.message}" for finding in scope.findings if warnings and finding.severity == "warning"]
    for scope in made.scopes:
        for object in dict.fromkeys(update.object for update in made.of(scope.connection)):
            heading = scope.connection if len(scope.populations) < 2 else f"{scope.connection} {object}"
            lines += ["", _by_field(heading, [update for update in made.of(scope.connection) if update.object == object])]
    if limit == 0:
        return lines
    shown = made.updates if every else _interesting(made.updates, limit)
    for update in shown:
        lines += ["", *_update(update, names, len(update.changes) if every else FIELDS)]
    if len(shown) < len(made.updates):
        lines += ["", f"… {count(len(made.updates) - len(shown), 'more record')}, every field: connector plans show {made.id} --all"]
    return lines


def _population(scope: Scope, mine: Sequence[PlannedUpdate]) -> str:
    """How many of what would be written, grain by grain."""
    from connector.scorecard.manifests import WORDS

    planned = Counter(update.grain for update in mine)
    known = scope.populations or {"opportunity": scope.population}
    return ", ".join(f"{planned[grain]:,} of {count(n, WORDS[grain])}" for grain, n in known.items())


def _interesting(updates: Sequence[PlannedUpdate], limit: int) -> list[PlannedUpdate]:
    """Some of each connection: first those that change or lose a value, then first fills."""
    found: list[PlannedUpdate] = []
    connections = list(dict.fromkeys(u.connection for u in updates))
    for connection in connections:
        mine = sorted((u for u in updates if u.connection == connection), key=lambda u: all(c.kind == "set" for c in u.changes))
        found += mine[: max(1, limit // len(connections))]
    return found


def _by_field(heading: str, mine: Sequence[PlannedUpdate]) -> Table:
    counts: dict[str, Counter[str]] = {}
    for update in mine:
        for change in update.changes:
            counts.setdefault(change.field, Counter())[change.kind] += 1
    rows = [(name, c["set"] or "", c["change"] or "", c["empty"] or "", c["clear"] or "", _moves(name, mine)) for name, c in counts.items()]
    return Table((f"{heading} by field", ">set", ">change", ">empty", ">clear", ""), rows)


SIGNS = {"update": "~", "create": "+", "remove": "-"}
FEW = ("stage", "pace")


def _moves(name: str, mine: Sequence[PlannedUpdate]) -> str:
    """For fields of few values: the commonest before → after."""
    moves = Counter(f"{c.before} → {c.after}" for u in mine for c in u.changes if c.field == name and c.kind == "change" and c.key in FEW)
    said = ", ".join(f"{move} {n}" for move, n in moves.most_common(3))
    return said + (", …" if len(moves) > 3 else "")


def _update(update: PlannedUpdate, names: bool, limit: int) -> Iterable[str]:
    title = f"{update.reference}  {update.name or ''}" if names else update.reference
    yield f"{SIGNS[update.action]} {update.connection} {title}".rstrip()
    told = [change for change in update.changes if change.key not in ("updated_at", "definition")]
    for change in told[:limit]:
        yield f"    {change.field}  {_shown(change)}"
        for why in change.why[:1]:
            yield f"        why: {why}"
    if len(told) > limit:
        yield f"    … {count(len(told) - limit, 'more value')}"


def _shown(change: FieldChange) -> str:
    after = change.after if change.after not in (None, "") else "(empty)"
    return f"{change.before if change.before is not None else '(empty)'} → {after}"


def pushed(reports: Sequence[PushReport], *, names: bool) -> list[str | Table]:
    """What was written, and every record that was not, by name and reason."""
    lines: list[str | Table] = []
    for report in reports:
        if report.trips:
            lines.append(f"{report.connection}: nothing written, the plan waits")
            lines += [f"  {trip.code}  {trip.message}" for trip in report.trips]
            continue
        c = report.counts
        said = ", ".join(f"{n} {word}" for word, n in c.items() if n and word != "planned") or "nothing to write"
        left = f" · {report.left:,} not tried" if report.left else ""
        healed = f" · {count(len(report.healed), 'overwritten value')} healed" if report.healed else ""
        lines.append(f"{report.connection}: {c['planned']:,} planned · {said}{left}{healed} · {count(report.calls, 'call')}")
        for outcome in report.outcomes:
            if outcome.status not in ("written", "unchanged"):
                said_by_crm = f" {outcome.crm_code}" if outcome.crm_code else ""
                named = f"  {outcome.update.name}" if names and outcome.update.name else ""
                lines.append(f"  {outcome.status}  {outcome.update.reference}{named}  {outcome.code}{said_by_crm}  {outcome.message}")
                if outcome.code in CODES:
                    known = CODES[outcome.code]
                    lines.append(f"      {known.meaning} → {known.next_step}")
    return lines


def missed(found: Mapping[str, Sequence[Standing]]) -> str:
    """One line: how many targets are missed where; nothing where all are met."""
    parts = []
    for name, standing in found.items():
        no_gos = sum(s.no_go for s in standing)
        parts += [f"{count(len(standing), 'target')} missed in {name}" + (f" ({no_gos} no-go)" if no_gos else "")] if standing else []
    return f"{', '.join(parts)} → connector status" if parts else ""


def measures(computed: Sequence[Measure], currency: str, *, title: str | None = None, subjects: str | None = "company") -> Table:
    """KPI values with unit, n, interval and the reason where there is none. ``subjects`` None: all, and a column says which."""
    shown = [m for m in computed if subjects is None or m.subject == subjects]
    whose = [(m.subject,) if subjects is None else () for m in shown]
    ns = ["" if m.n is None else f"{m.n:,}" for m in shown]
    told = zip(shown, whose, ns, strict=True)
    rows = [(_name(m), *s, m.window, value(m), unit(m, currency), n, _interval(m), _notes(m)) for m, s, n in told]
    return Table(("KPI", *(("subject",) if subjects is None else ()), "window", ">value", "unit", ">n", "95 %", "notes"), rows, title)


def progress(rows: Sequence[Progress], title: str) -> Table:
    """Values of the programme's days beside each other, each with its verdict against the baseline."""
    from connector.kpis.targets import shown

    def cell(row: Progress, point: Point | None, verdict: str | None) -> str:
        if point is None:
            return ""
        said = "–" if point.value is None else shown(point.value, row.unit)
        return f"{said} {MARKS[verdict]}" if verdict else said

    heads = ("KPI", "window", ">baseline", "on", *(f">day {then.day}" if then.day else ">now" for then in rows[0].later))
    lines = [
        (
            f"{row.key.kpi}.{row.key.variant}" if row.key.variant else row.key.kpi, row.key.window, cell(row, row.baseline, None), row.baseline.on,
            *(cell(row, then.point, then.verdict) for then in row.later),
        )
        for row in rows
    ]  # fmt: skip
    return Table(heads, lines, title)


MARKS = {"up": "up", "down": "down", "no_visible_change": "="}


def title(measure: Measure, currency: str) -> str:
    """A measure in one line: ``win_rate of company, T12M: 50.0 % (n=4, 15–85 %, low n)``."""
    said = [f"n={measure.n:,}", _interval(measure), _notes(measure)]
    told = " ".join(part for part in (value(measure), unit(measure, currency)) if part)
    return f"{_name(measure)} of {measure.subject}, {measure.window}: {told} ({', '.join(part for part in said if part)})"


def evidence(records: Sequence[Mapping[str, Any]], *, limit: int | None = None) -> list[str | Table]:
    """The records a number came from as a table, the first ``limit`` of them, and how many more there are."""
    if not records:
        return ["  no record"]
    heads, shown = list(records[0]), records[:limit]
    numbers = [all(isinstance(row[name], (int, float, Decimal, NoneType)) and not isinstance(row[name], bool) for row in records) for name in heads]
    table = Table(
        [f">{name}" if right else name for name, right in zip(heads, numbers, strict=True)], [[cell(row[name]) for name in heads] for row in shown]
    )
    left = len(records) - len(shown)
    return [table, *([f"{len(shown):,} of {count(len(records), 'record')} · {left:,} more: --all"] if left else [])]


def cell(found: object) -> str:
    """One value of a record: yes and no, numbers without an end of zeros, nothing for unknown.

    >>> cell(Decimal("140000.0000000000")), cell(True), cell(["amount", "product"]), cell(None)
    ('140,000', 'yes', 'amount, product', '')
    """
    if found is None:
        return ""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, list):
        return ", ".join(map(str, found)) or "none"
    return f"{found:,.10g}" if isinstance(found, float) else f"{found.normalize():,f}" if isinstance(found, Decimal) else str(found)


def unit(measure: Measure, currency: str) -> str:
    """The unit as a person reads it: ``USD``, ``USD/day``, ``%``, ``per 30 d``; nothing where there is no value."""
    if measure.value is None:
        return ""
    money = {"money": currency, "money_per_day": f"{currency}/day", "money_per_month": f"{currency}/month", "money_per_unit": f"{currency}/unit"}
    return (money | UNITS).get(measure.unit, measure.unit)


UNITS = {"ratio": "%", "per_week": "per week", "per_30d": "per 30 d", "bool": "", "label": "", "list": ""}


def _name(measure: Measure) -> str:
    return f"{measure.kpi}.{measure.variant}" if measure.variant else measure.kpi


def value(measure: Measure) -> str:
    """A value as a person reads it, its unit apart: ratios in percent, money whole, a dash for unknown, ≥ for a lower bound."""
    v = measure.value
    if v is None:
        return "–"
    if isinstance(v, bool):
        return "yes" if v else "no"
    if isinstance(v, list):
        return ", ".join(v) or "none"
    if isinstance(v, str):
        return v
    text = f"{v * 100:.1f}" if measure.unit == "ratio" else f"{v:,.0f}" if measure.unit.startswith("money") else _number(v)
    return f"≥ {text}" if measure.reason == "censored" else text


def _number(v: float) -> str:
    return f"{v:,.0f}" if float(v).is_integer() else f"{v:,.1f}"


def _interval(measure: Measure) -> str:
    if measure.ci_low is None or measure.ci_high is None:
        return ""
    return f"{measure.ci_low * 100:.0f}–{measure.ci_high * 100:.0f} %"


def _notes(measure: Measure) -> str:
    notes: list[str] = [measure.reason.replace("_", " ")] if measure.reason else []
    notes += ["low n"] if measure.low_n and measure.value is not None else []
    notes += [f"{measure.pending} pending"] if measure.pending else []
    notes += [f"{n:,} {why.replace('_', ' ')}" for why, n in measure.excluded.items()]
    return ", ".join(notes)
