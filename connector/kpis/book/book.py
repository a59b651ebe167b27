"""The Book: everything a KPI may read, as of one instant (catalogue R1–R20). Immutable; same book, same numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import polars as pl

from connector.clock import Calendar
from connector.kpis.book import gates, people, windows
from connector.kpis.book.asof import as_then
from connector.kpis.book.money import Rates, converted
from connector.kpis.book.pilots import linked
from connector.kpis.book.populations import FIELDS, matches
from connector.kpis.book.sections import DEAL_DATES, Section, frame, unfolded
from connector.kpis.book.visits import closes, moves, rungs, visits
from connector.kpis.book.windows import Window, Windows
from connector.kpis.inputs.reading import Inputs
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Book:
    """Frames (columns in the functions that make them) and what is needed to read them. ``today`` is the local date of ``as_of``.

    deals: one row per existing deal, see :func:`_deals`. visits, moves: see :mod:`connector.kpis.book.visits`. gates: intervals;
    demands: what single deals say about a gate. activities, roles: see :mod:`connector.kpis.book.people`.
    accounts, owners, contacts, leads, tickets, splits, pushes, amounts: as in their sections, cut at ``as_of``. dimensions: columns of deals that a
    mapping adds.
    """

    as_of: datetime
    today: date
    calendar: Calendar
    ladder: Ladder
    settings: KpiSettings
    inputs: Inputs
    rates: Rates
    windows: Windows
    deals: pl.DataFrame
    visits: pl.DataFrame
    gates: pl.DataFrame
    demands: pl.DataFrame
    activities: pl.DataFrame
    roles: pl.DataFrame
    accounts: pl.DataFrame
    owners: pl.DataFrame
    contacts: pl.DataFrame
    leads: pl.DataFrame
    tickets: pl.DataFrame
    splits: pl.DataFrame
    pushes: pl.DataFrame
    amounts: pl.DataFrame
    survivors: Mapping[str, str]
    dimensions: tuple[str, ...] = ()
    snapshots: tuple[Mapping[str, Any], ...] = ()
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def build(
        cls,
        sections: Mapping[str, Section],
        *,
        as_of: datetime,
        ladder: Ladder,
        settings: KpiSettings,
        inputs: Inputs | None = None,
        rates: Iterable[Mapping[str, Any]] = (),
        snapshots: Iterable[Mapping[str, Any]] = (),
        extra_windows: Sequence[str] = (),
        pilot_link: Sequence[str] = (),
        observed_since: date | None = None,
    ) -> Book:
        """The book of an instant from sections in the form of the golden file (``inputs.crm``); unknown sections are ignored.

        ``rates``: the CRM's own exchange rates {currency, date, rate}; they serve for currencies that the input ``fx`` does not name.
        ``pilot_link``: columns by which a pilot that is a deal of its own finds the deal it serves, see :func:`connector.kpis.book.pilots.linked`.
        ``observed_since``: the day on which the connector first looked; what it only observes entered statistics then.
        ``snapshots``: own measures of earlier days {kpi, variant, subject, window?, date, value, ci_low?, ci_high?}.
        Raises InputError SC-E090 for a value of the wrong kind, with its place.
        """
        inputs = inputs or Inputs({})
        calendar = Calendar(settings.calendar.time_zone, settings.calendar.fiscal_year_starts)
        as_of = as_of.astimezone(UTC)
        today = calendar.day(as_of)
        raw = {name: frame(name, sections.get(name)) for name in (
            "accounts", "owners", "opportunities", "stage_history", "closes_on_history", "owner_history", "amount_history", "splits", "gates",
            "contacts", "opportunity_contacts", "activities", "leads", "tickets",
        )}  # fmt: skip
        raw["opportunities"], dimensions = unfolded(raw["opportunities"], "dimensions")
        link = tuple(pilot_link) or settings.pilot_link
        survivors = people.survivors(raw["accounts"])
        own_rates = inputs.rows("fx") or ()
        named = {str(row["currency"]) for row in own_rates}
        money = Rates([*own_rates, *(row for row in rates if row["currency"] not in named)], settings.calendar.currency)
        existing = raw["opportunities"].filter(
            ~pl.col("deleted").fill_null(False) & (pl.col("created_at").is_null() | (pl.col("created_at") <= as_of))
        )
        ids = existing["id"].implode()

        def own(name: str) -> pl.DataFrame:
            return raw[name].filter(pl.col("opportunity").is_in(ids))

        stays = visits(
            own("stage_history"), ladder, as_of=as_of, today=today, min_seconds=settings.history.min_visit_seconds, zone=calendar.time_zone
        )
        maker = _Deals(as_of, today, calendar, ladder, settings, money, people.resolve(raw["accounts"], survivors))
        then = as_then(existing, own("amount_history"), own("closes_on_history"), own("owner_history"), as_of)
        deals = linked(maker.deals(then, stays, own("owner_history"), survivors), link, today)
        roles = people.roles(own("opportunity_contacts"), raw["contacts"])
        activities = people.activities(raw["activities"], deals, survivors, settings.ignore_created_by, as_of, today, calendar.time_zone)
        ignored = list(settings.ignore_created_by)
        pushes = own("closes_on_history").filter(
            (pl.col("at").is_null() | (pl.col("at") <= as_of)) & ~pl.col("by").is_in(ignored).fill_null(False) & (pl.col("new") > pl.col("old"))
        )
        amounts = own("amount_history").filter(pl.col("at") <= as_of).sort("opportunity", "at", "amount", nulls_last=True)
        intervals, demands = gates.intervals(own("gates"), deals, ladder, today, observed_since)
        return cls(
            as_of, today, calendar, ladder, settings, inputs, money, windows.standard(today, calendar, tuple(extra_windows)), deals, stays,
            intervals, demands, activities, roles, maker.accounts, raw["owners"].sort("id"), raw["contacts"],
            raw["leads"].with_columns(opportunity=pl.when(pl.col("opportunity").is_in(ids)).then("opportunity")), raw["tickets"],
            own("splits"), pushes, amounts, survivors, dimensions, tuple(snapshots),
        )  # fmt: skip

    @cached_property
    def new_business(self) -> pl.DataFrame:
        """NB: new-business deals that are not void."""
        return self.deals.filter(self._among("new_business") & (pl.col("cls") != "void"))

    def _among(self, population: str) -> pl.Expr:
        """A named population of kpis.yaml as a filter on deals. Dimensions are known by the deals that have them: without deals none is."""
        if self.deals.is_empty():
            return pl.lit(False)
        return matches(getattr(self.settings.populations, population), (*FIELDS, *self.dimensions))

    @cached_property
    def void_new(self) -> pl.DataFrame:
        """Void deals that would be new business."""
        return self.deals.filter(self._among("new_business") & (pl.col("cls") == "void"))

    @cached_property
    def open_deals(self) -> pl.DataFrame:
        """Open deals of any type."""
        return self.deals.filter(pl.col("cls") == "open")

    @cached_property
    def open_new(self) -> pl.DataFrame:
        """OPEN: open new-business deals."""
        return self.new_business.filter(pl.col("cls") == "open")

    @cached_property
    def open_pipeline(self) -> pl.DataFrame:
        """OPEN deals that count as pipeline."""
        return self.open_new.filter(self._among("open_pipeline"))

    def pipeline_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of some rows made from open deals (columns of deals among them) that count as pipeline."""
        return rows.filter(pl.col("id").is_in(self.open_pipeline["id"].implode()))

    @cached_property
    def ageing(self) -> pl.DataFrame:
        """OPEN deals whose age is watched."""
        return self.open_new.filter(self._among("ageing"))

    def judged(self, window: Window) -> pl.DataFrame:
        """CLOSED(w) deals that win rates are made of."""
        return self.of_win_rates(self.closed(window))

    def of_win_rates(self, deals: pl.DataFrame) -> pl.DataFrame:
        """Those of some deals, open or closed, that win rates are made of."""
        return deals.filter(self._among("win_rate"))

    def closed(self, window: Window) -> pl.DataFrame:
        """CLOSED(w): new business won, lost or undecided with the close moment in the window."""
        return _closed(self, window)

    def won(self, window: Window) -> pl.DataFrame:
        """WON(w)."""
        return _won(self, window)

    @cached_property
    def moves(self) -> pl.DataFrame:
        """Transitions out of open stages, see :func:`connector.kpis.book.visits.moves`."""
        return moves(self.visits)

    @cached_property
    def dwell(self) -> pl.DataFrame:
        """Visits to open stages, with the deal's deal_type, segment, cls as deal_cls."""
        facts = self.deals.select(pl.col("id").alias("opportunity"), "deal_type", "segment", pl.col("cls").alias("deal_cls"))
        return self.visits.filter(pl.col("cls") == "open").join(facts, on="opportunity", how="left", maintain_order="left")

    @cached_property
    def new_ids(self) -> pl.Series:
        """Ids of NB deals, wrapped for ``is_in``."""
        return self.new_business["id"].implode()

    def of_new_business(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with a column ``opportunity`` that belong to NB deals."""
        return rows.filter(pl.col("opportunity").is_in(self.new_ids))

    def quality(self, rests_on: str) -> str:
        """``history_quality`` of what a KPI rests on: the weakest of its rows (system, observed, date_field, none)."""
        order = ["system", "observed", "date_field", "none"]
        rows = {"stage_history": self.visits, "gates": self.gates}.get(rests_on)
        if rows is None or rows.is_empty():
            return "none"
        kinds: list[str] = rows["quality"].fill_null("system" if rests_on == "stage_history" else "date_field").unique().to_list()
        return max(kinds, key=lambda kind: order.index(kind) if kind in order else 3)


def derived(make: Callable[Concatenate[Book, P], T]) -> Callable[Concatenate[Book, P], T]:
    """A value worked out of a book (and of what else names it, such as a window) once, however many KPIs ask for it."""

    @wraps(make)
    def once(book: Book, /, *args: P.args, **named: P.kwargs) -> T:
        key = (make.__module__, make.__qualname__, args, *sorted(named.items()))
        if key not in book.memo:
            book.memo[key] = make(book, *args, **named)
        return cast(T, book.memo[key])

    return once


@derived
def _closed(book: Book, window: Window) -> pl.DataFrame:
    return book.new_business.filter((pl.col("cls") != "open") & window.covers("closed"))


@derived
def _won(book: Book, window: Window) -> pl.DataFrame:
    return book.closed(window).filter(pl.col("cls") == "won")


@dataclass(frozen=True)
class _Deals:
    """How the section ``opportunities`` becomes the frame ``deals``."""

    as_of: datetime
    today: date
    calendar: Calendar
    ladder: Ladder
    settings: KpiSettings
    rates: Rates
    accounts: pl.DataFrame

    def _day(self, column: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone(self.calendar.time_zone).dt.date()

    def _size(self) -> pl.Expr:
        size: pl.Expr = pl.lit(None, dtype=pl.String)
        for band in reversed(self.settings.size_bands):
            size = (
                pl.lit(band.key)
                if band.below is None
                else pl.when(pl.col("amount").cast(pl.Float64) < band.below).then(pl.lit(band.key)).otherwise(size)
            )
        return pl.when(pl.col("amount").is_not_null()).then(size)

    def deals(self, rows: pl.DataFrame, stays: pl.DataFrame, owner_history: pl.DataFrame, survivors: Mapping[str, str]) -> pl.DataFrame:
        """One row per deal, by id. Beside the section's own columns (dates after today are null):

        stage, cls, kind, rank of the present stage; has_history, entered, closed (close moment, local dates), closed_at, first_closed, created;
        owner (of closed deals: at the close moment), owner_now, owner_created; account (the survivor), source, territory, segment, region, size;
        amount, arr in the reporting currency with amount_why, arr_why; native_amount, native_arr.
        """
        present = stays.filter(pl.col("running")).select(pl.col("opportunity").alias("id"), pl.col("stage").alias("last"), "entered")
        known = list(self.ladder.rungs)
        deals = (
            rows.join(present.with_columns(has_history=pl.lit(True)), on="id", how="left")
            .with_columns(has_history=pl.col("has_history").fill_null(False))
            .with_columns(stage=pl.when(pl.col("has_history")).then(pl.col("last")).otherwise(pl.col("stage")))
            .with_columns(stage=pl.when(pl.col("stage").is_in(known)).then(pl.col("stage")))
            .join(rungs(self.ladder), on="stage", how="left")
            .with_columns(cls=pl.col("cls").fill_null("open"))
            .join(closes(stays).rename({"opportunity": "id"}), on="id", how="left")
            .with_columns(created=self._day("created_at"), first_closed=self._day("first_closed_at"))
            .with_columns(closed=self._close_day())
            .with_columns(pl.when(pl.col(name) <= self.today).then(pl.col(name)).alias(name) for name in DEAL_DATES)
            .with_columns(account=pl.col("account").replace(survivors), owner_now=pl.col("owner"))
            .sort("id")
        )
        deals = people.with_owners(deals, owner_history, self.as_of)
        return self._with_dimensions(self._with_money(deals)).drop("last", "deleted", "lead_source")

    def _close_day(self) -> pl.Expr:
        planned = pl.min_horizontal(pl.col("closes_on").fill_null(self.today), pl.lit(self.today))
        return pl.when(pl.col("cls") != "open").then(pl.when(pl.col("has_history")).then(self._day("closed_at")).otherwise(planned))

    def _with_money(self, deals: pl.DataFrame) -> pl.DataFrame:
        days = deals["closed"].fill_null(self.today).to_list()
        currencies = deals["currency"].to_list()
        amounts = converted("amount", deals["amount"].to_list(), currencies, days, self.rates, zero_counts=False)
        arr = converted("arr", deals["arr"].to_list(), currencies, days, self.rates, zero_counts=True)
        return deals.with_columns(native_amount=pl.col("amount"), native_arr=pl.col("arr")).with_columns(*amounts, *arr)

    def _with_dimensions(self, deals: pl.DataFrame) -> pl.DataFrame:
        home = self.accounts.select(
            pl.col("id").alias("account"), pl.col("segment").alias("home_segment"), pl.col("territory").alias("home_territory"), "region"
        )
        return (
            deals.join(home, on="account", how="left", maintain_order="left")
            .with_columns(
                segment=pl.coalesce("segment", "home_segment"),
                territory=pl.coalesce("territory", "home_territory"),
                source=pl.col("lead_source"),
                size=self._size(),
            )
            .drop("home_segment", "home_territory")
        )
