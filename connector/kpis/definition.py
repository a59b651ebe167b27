"""What a KPI is: its declaration, the rows it yields, the measures that leave the package, and the registry of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import TYPE_CHECKING, Literal, NamedTuple

from connector.kpis.catalogue import NAMES

if TYPE_CHECKING:
    import polars as pl

    from connector.kpis.book.book import Book

Unit = Literal[
    "money", "x", "ratio", "days", "months", "count", "per_week", "per_30d", "score", "points", "bool", "label", "list",
    "money_per_day", "money_per_month", "money_per_unit",
]  # fmt: skip
Reason = Literal[
    "missing_input", "no_denominator", "not_reached", "only_running", "censored", "no_history", "unmapped_stage", "parked",
    "not_applicable", "no_activity", "negative", "quota_reached",
]  # fmt: skip
Scalar = float | int | bool | str | list[str] | None
Rests = Literal["stage_history", "gates", "none"]


class Row(NamedTuple):
    """What a KPI function yields. ``small``: whether a small n is marked (catalogue R15); ``small_n``: the number looked at for it where that
    is not n; ``interval``: Wilson 95 %.

    ``unit``: where it is not that of the variant, for a KPI about other KPIs.

    ``evidence``: the records the number came from, see :mod:`connector.kpis.evidence`; required wherever n > 0.
    """

    subject: str
    window: str
    value: Scalar
    n: int
    variant: str = ""
    small: bool = False
    interval: tuple[float, float] | None = None
    pending: int | None = None
    excluded: Mapping[str, int] | None = None
    reason: Reason | None = None
    evidence: pl.DataFrame | None = None
    small_n: int | None = None
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One number with all that is needed to read it. Keys and meanings: KPI catalogue, section 3.

    ``value`` is None only together with a ``reason``; with ``censored`` it is a lower bound. Money is in the reporting currency.
    ``n`` is None for a KPI whose records are not of one kind (gamification_points).
    """

    kpi: str
    variant: str
    subject: str
    window: str
    value: Scalar
    unit: Unit
    n: int | None
    low_n: bool = False
    ci_low: float | None = None
    ci_high: float | None = None
    pending: int | None = None
    excluded: dict[str, int] = field(default_factory=dict)
    reason: Reason | None = None

    @property
    def records(self) -> int:
        """``n``, and 0 where the KPI has none."""
        return self.n or 0

    def as_dict(self) -> dict[str, object]:
        """The thirteen keys, in order, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Kpi:
    """A declared KPI. ``units`` by variant; ``needs``: input names, ``stage:KEY``, ``gate:KEY`` or ``setting:NAME``.

    ``of_deals``: made of deals and what hangs on them. ``counted``: whether its measures have an n.
    """

    name: str
    number: int
    grain: str
    units: Mapping[str, Unit]
    kind: Literal["leading", "lagging", "qualitative"]
    needs: tuple[str, ...]
    write_back: str
    source: str
    rests_on: Rests
    of_deals: bool
    rows: Callable[[Book], Iterator[Row]]
    counted: bool = True

    @property
    def definition(self) -> str:
        """The KPI in words: the docstring of its function, without the example."""
        return cleandoc((self.rows.__doc__ or "").split(">>>", maxsplit=1)[0]).replace("``", "`")

    @property
    def divisible(self) -> bool:
        """Whether its company rows can be asked of a part of the company: nothing enters it that belongs to no deal."""
        return self.of_deals and all(":" in need for need in self.needs)

    def evidenced(self, book: Book) -> Iterator[tuple[Measure, pl.DataFrame | None]]:
        """Every measure of this KPI for a book, low n marked by ``thresholds.low_n``, with the records it came from."""
        low = book.settings.thresholds.low_n
        for row in self.rows(book):
            ci_low, ci_high = row.interval or (None, None)
            looked_at = row.n if row.small_n is None else row.small_n
            measure = Measure(
                self.name, row.variant, row.subject, row.window, row.value, row.unit or self.units[row.variant], row.n, row.small and looked_at < low,
                ci_low, ci_high, row.pending or None, {k: v for k, v in (row.excluded or {}).items() if v}, row.reason,
            )  # fmt: skip
            yield measure if self.counted else replace(measure, n=None), row.evidence

    def measures(self, book: Book) -> Iterator[Measure]:
        """The same without the records."""
        return (measure for measure, _ in self.evidenced(book))


REGISTRY: dict[str, Kpi] = {}


def kpi(
    name: str,
    *,
    number: int,
    grain: str,
    units: Unit | Mapping[str, Unit],
    kind: Literal["leading", "lagging", "qualitative"],
    write_back: str,
    source: str,
    needs: tuple[str, ...] = (),
    rests_on: Rests = "stage_history",
    of_deals: bool = True,
    counted: bool = True,
) -> Callable[[Callable[[Book], Iterator[Row]]], Callable[[Book], Iterator[Row]]]:
    """Declare the decorated function ``Book → rows`` as the KPI of that name; a name is declared once. See :class:`Kpi`."""

    def declare(rows: Callable[[Book], Iterator[Row]]) -> Callable[[Book], Iterator[Row]]:
        if name in REGISTRY:
            raise ValueError(f"KPI {name} is declared twice")
        if name not in NAMES:
            raise ValueError(f"KPI {name} is not in connector.kpis.catalogue")
        by_variant = {"": units} if isinstance(units, str) else units
        REGISTRY[name] = Kpi(name, number, grain, by_variant, kind, needs, write_back, source, rests_on, of_deals, rows, counted)
        return rows

    return declare
