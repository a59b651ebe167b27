"""Targets of kpis.yaml held against measures: what is missed, by how much, since when, and whether it is a no-go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from connector.kpis.book.book import Book
from connector.kpis.definition import Measure, Unit
from connector.kpis.series import Key, Point, months, moving, points
from connector.model.kpi_settings import Target


@dataclass(frozen=True, slots=True)
class Breach:
    """A missed target. ``over``: how far beyond the limit, in the measure's unit, above 0; ``since``: first day of the present run of misses.

    ``certain``: whether the whole 95 % interval lies beyond the limit; None where there is no interval.
    """

    target: Target
    measure: Measure
    over: float
    since: date
    no_go: bool
    certain: bool | None
    words: str

    @property
    def weight(self) -> float:
        """How bad: the distance as a share of the limit, no-gos above everything else."""
        share = self.over / abs(self.target.limit) if self.target.limit else self.over
        return share + (1e9 if self.no_go else 0)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A target that cannot be judged: no row of this name, or a row without a value."""

    target: Target
    subject: str
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Breaches, the worst first; what cannot be judged; how many targets were held, each subject counted."""

    breaches: tuple[Breach, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    held: int = 0


def names(book: Book) -> tuple[str, ...]:
    """The KPIs that have targets."""
    return tuple(dict.fromkeys(target.kpi for target in book.settings.targets))


def breaches(book: Book, measures: Iterable[Measure]) -> list[Breach]:
    """The breaches of :func:`judge`."""
    return list(judge(book, measures).breaches)


def judge(book: Book, measures: Iterable[Measure]) -> Verdict:
    """Every target of the book's settings against the measures, which hold those of :func:`names`.

    A value below ``low_n`` is judged, and its words say so. A null is no breach, and a lower bound (``censored``) says nothing of a floor.
    """
    rows = list(measures)
    missed: list[Breach] = []
    unjudged: list[Unjudged] = []
    held = 0
    for target in book.settings.targets:
        meant = list(_meant(book, target, rows))
        if not meant:
            unjudged.append(_unjudged(target, target.subject, "there is no such value"))
        for measure in meant:
            value = number(measure.value)
            worse = value is not None and target.worse(value, target.limit)
            if value is None or (worse and target.rising and measure.reason == "censored"):
                unjudged.append(_unjudged(target, measure.subject, (measure.reason or "no number").replace("_", " ")))
            elif worse:
                missed.append(_breach(book, target, measure, value))
            else:
                held += 1
    missed.sort(key=lambda b: (-b.weight, b.target.key, b.measure.subject))
    return Verdict(tuple(missed), tuple(unjudged), held)


def _unjudged(target: Target, subject: str, why: str) -> Unjudged:
    return Unjudged(target, subject, f"{_name(target)} {subject} cannot be judged: {why}")


def covers(target: Target, measure: Measure) -> bool:
    """Whether a measure is of the KPI, variant and subject that a target names, in any window."""
    return (measure.kpi, measure.variant) == (target.kpi, target.variant) and _is(target.subject, measure.subject)


def _is(pattern: str, subject: str) -> bool:
    if "*" not in pattern:
        return pattern == subject
    wanted, parts = pattern.split(","), subject.split(",")
    return len(wanted) == len(parts) and all(
        part.startswith(want[:-1]) if want.endswith("=*") else part == want for want, part in zip(wanted, parts, strict=True)
    )


def _meant(book: Book, target: Target, rows: Sequence[Measure]) -> Iterator[Measure]:
    """One measure a subject: of the window named, else the KPI's first."""
    window = book.windows.quarter.label if target.window == "FQ" else target.window
    seen: set[str] = set()
    for measure in rows:
        if covers(target, measure) and window in (None, measure.window) and measure.subject not in seen:
            seen.add(measure.subject)
            yield measure


def number(value: object) -> float | None:
    """A value that can be compared with a limit: yes is 1, no is 0; None for labels, lists and nothing."""
    return float(value) if isinstance(value, int | float) else None


def _breach(book: Book, target: Target, measure: Measure, value: float) -> Breach:
    key = Key(measure.kpi, measure.variant, measure.subject, moving(measure.window, book.today, book.calendar))
    earlier = [point for point in points(book, key) if point.on < book.today]
    since = _since(target, earlier, book.today)
    no_go = False
    if target.no_go is not None:
        run = months(earlier, value, book.today, target.no_go.months)
        no_go = all(month is not None and target.worse(month, target.no_go.limit) for month in run)
    edge = measure.ci_high if target.rising else measure.ci_low
    certain = None if edge is None else target.worse(edge, target.limit)
    over = abs(value - target.limit)
    return Breach(target, measure, over, since, no_go, certain, _words(target, measure, value, since, no_go, certain))


def _since(target: Target, earlier: Sequence[Point], today: date) -> date:
    """The first day of the run of misses that ends today; days on which the value was unknown neither end nor lengthen it."""
    first = today
    for point in reversed(earlier):
        if point.value is None:
            continue
        if not target.worse(point.value, target.limit):
            break
        first = point.on
    return first


def _name(target: Target) -> str:
    return f"{target.kpi}.{target.variant}" if target.variant else target.kpi


def shown(value: float, unit: Unit) -> str:
    """A value in few digits: ratios in percent, money and long numbers whole.

    >>> shown(0.3333, "ratio"), shown(2.0, "x"), shown(1234567.8, "money"), shown(1.0, "bool")
    ('33.3 %', '2x', '1,234,568', 'yes')
    """
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    if unit == "bool":
        return "yes" if value else "no"
    if unit.startswith("money") or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" + ("x" if unit == "x" else f" {unit.replace('_', ' ')}")


def _words(target: Target, measure: Measure, value: float, since: date, no_go: bool, certain: bool | None) -> str:
    unit = measure.unit
    side = "at least" if target.rising else "at most"
    parts = [f"{_name(target)} {measure.subject} is {shown(value, unit)}, {side} {shown(target.limit, unit)} wanted, since {since}"]
    if no_go and target.no_go is not None:
        beyond = "below" if target.rising else "above"
        months_ = f"{target.no_go.months} months running" if target.no_go.months > 1 else "this month"
        parts.append(f"no-go: {beyond} {shown(target.no_go.limit, unit)} {months_}")
    if certain is not None:
        parts.append("its whole interval misses it" if certain else "its interval still reaches it")
    if measure.low_n:
        parts.append(f"low n ({measure.n})")
    return "; ".join(parts)
