"""What the makers of sections look at: the book, its measures (each KPI computed once), and the names that may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.kpis.book.book import Book
from connector.kpis.cards.text import day_text, stage_label
from connector.kpis.definition import REGISTRY, Measure
from connector.report.content import Cell


@dataclass(frozen=True)
class Look:
    """``deal_names``: deal → its name; empty where names are not to be shown."""

    book: Book
    deal_names: Mapping[str, str]
    _computed: dict[str, dict[tuple[str, str], list[Measure]]] = field(default_factory=dict, repr=False)

    @property
    def currency(self) -> str:
        return self.book.settings.calendar.currency

    @property
    def rolling(self) -> str:
        """The last twelve months: ``21 Nov 2025 to 20 Nov 2026``."""
        window = self.book.windows.rolling
        assert window.first is not None
        assert window.last is not None
        return f"{day_text(window.first)} to {day_text(window.last)}"

    def _of(self, kpi: str) -> dict[tuple[str, str], list[Measure]]:
        if kpi not in self._computed:
            found: dict[tuple[str, str], list[Measure]] = {}
            for measure in REGISTRY[kpi].measures(self.book):
                found.setdefault((measure.variant, measure.subject), []).append(measure)
            self._computed[kpi] = found
        return self._computed[kpi]

    def measure(self, kpi: str, variant: str = "", subject: str = "company") -> Measure:
        """The measure in its first window: as of now, T12M or the current quarter. Raises KeyError where the KPI has no such row."""
        return self._of(kpi)[variant, subject][0]

    def along(self, kpi: str, dimension: str, variant: str = "") -> dict[str, Measure]:
        """Value of a dimension → its measure: ``along("win_rate", "segment")``."""
        start = f"{dimension}="
        return {
            subject.removeprefix(start): rows[0]
            for (kind, subject), rows in self._of(kpi).items()
            if kind == variant and subject.startswith(start) and "," not in subject
        }

    def deal(self, id: str) -> Cell:
        """A deal as it is called: its name with its id under it, or the id alone."""
        name = self.deal_names.get(id)
        return Cell(id, name, id) if name else Cell(id, id)

    def owner(self, id: str | None) -> Cell:
        """An owner's name, else the id."""
        names = dict(self.book.owners.select("id", "name").iter_rows())
        return Cell(id, (names.get(id) or id) if id else "nobody", mark="" if id else "quiet")

    def stage(self, key: str | None) -> str:
        return stage_label(self.book.ladder, key)
