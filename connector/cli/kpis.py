"""connector kpis list | show | compute | baseline | leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli import views
from connector.cli.output import Answer, Table, count
from connector.cli.project import AsOf, ConnectionOption, command, instant, opened
from connector.errors import Finding, InputError, UsageError
from connector.kpis.catalogue import NAMES

if TYPE_CHECKING:
    from connector.app import App
    from connector.kpis.book.book import Book
    from connector.kpis.definition import Measure


def list_kpis(connection: ConnectionOption = None) -> Answer:
    """Every KPI of the registry: what it is, whether it can be computed from this project's data, and what it lacks."""
    from connector.kpis import compute
    from connector.kpis.definition import REGISTRY

    with opened() as app:
        name = app.names(connection)[0]
        on = compute.selected(app.definitions.kpis.kpis)
        checked = {kpi: (ok, lacks) for kpi, ok, lacks in compute.computable(_book(app, name, None))}
    rows = [
        (k.name, "on" if k.name in on else "", k.grain, "yes" if checked[k.name][0] else "no", checked[k.name][1] or "")
        for k in sorted(REGISTRY.values(), key=lambda k: k.number)
    ]
    table = Table(("KPI", "", "grain", "computable", "lacks"), rows)
    able = sum(ok for ok, _ in checked.values())
    result = [{"kpi": r[0], "on": r[1] == "on", "grain": r[2], "computable": r[3] == "yes", "reason": r[4] or None} for r in rows]
    text: list[str | Table] = [f"{able} of {len(rows)} KPIs computable from {name} and the inputs · {len(on)} switched on", "", table]
    return Answer({"connection": name, "kpis": len(rows), "computable": able, "on": len(on)}, result, text)


RECORDS = 20
"""Records of a number that a person sees unless asked for all."""


def show(
    kpi: Annotated[str, typer.Argument(metavar="KPI")],
    connection: ConnectionOption = None,
    as_of: AsOf = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="with the records and input lines each value came from")] = False,
    subject: Annotated[str | None, typer.Option(help="only the rows of this subject, such as segment=hospital; with --evidence: company")] = None,
    variant: Annotated[str | None, typer.Option(help="only this variant")] = None,
    window: Annotated[str | None, typer.Option(help="only this window, such as T12M")] = None,
    all: Annotated[bool, typer.Option("--all", help=f"every record, not only {RECORDS} of each value")] = False,
) -> Answer:
    """One KPI: its definition with source and unit, and every value; with --evidence the records behind each."""
    from connector.kpis import lineage
    from connector.kpis.definition import REGISTRY

    _known([kpi])
    with opened() as app:
        name = app.names(connection)[0]
        book = _book(app, name, instant(as_of, app))
    wanted = "company" if evidence and subject is None else None if subject == "all" else subject
    found = lineage.told(REGISTRY[kpi], book, subject=wanted, variant=variant, window=window)
    if not found and (subject, variant, window) != (None, None, None):
        raise UsageError(f"{kpi} has no such value", next_step=f"{command()} kpis show {kpi}")
    declared, currency = REGISTRY[kpi], book.settings.calendar.currency
    rows = [told.measure.as_dict() | ({"evidence": told.records} if evidence else {}) for told in found]
    result = {"kpi": kpi, "definition": declared.definition, "source": declared.source, "measures": rows}
    text: list[str | Table] = [f"{kpi} · {name}, as of {book.as_of:%Y-%m-%d} · {count(len(found), 'value')}", "", declared.definition]
    text += [f"Source: {declared.source}. Needs: {', '.join(declared.needs) or 'deals only'}.", ""]
    if evidence:
        for told in found:
            text += [views.title(told.measure, currency), *views.evidence(told.records, limit=None if all else RECORDS), ""]
    else:
        text.append(views.measures([told.measure for told in found], currency, subjects=None))
    return Answer({"kpi": kpi, "measures": len(found)}, result, text)


def compute(
    as_of: AsOf = None,
    from_file: Annotated[Path | None, typer.Option("--from-file", help="a book in a JSON file: no CRM, no state")] = None,
    kpi: Annotated[list[str] | None, typer.Option("--kpi", help="these only, switched on or not")] = None,
    all: Annotated[bool, typer.Option("--all", help="every KPI of the registry")] = False,
    connection: ConnectionOption = None,
    subject: Annotated[str, typer.Option(help="which rows to print: company, all, or like segment=hospital")] = "company",
    by: Annotated[str | None, typer.Option(metavar="DIM,…", help="divide the company: segment,owner")] = None,
    segment: Annotated[list[str] | None, typer.Option(metavar="K=V", help="with --by: only these parts, such as segment=hospital")] = None,
    window: Annotated[list[str] | None, typer.Option(help="beside the usual windows: QTD, FY2027-Q1, 2027-01, 2026-07-01/2026-12-31")] = None,
) -> Answer:
    """Compute the KPIs that are switched on, from the state as last pulled, or from a file."""
    from connector.kpis import compute as engine
    from connector.kpis.definition import REGISTRY

    _known(kpi or ())
    asked = _Asked(list(REGISTRY) if all else kpi, _dimensions(by), _parts(segment or ()), subject)
    if from_file is not None:
        return _from_file(from_file, asked, as_of, window or ())
    with opened() as app:
        known = books(app, app.names(connection), instant(as_of, app), window or ())
    computed = {name: asked.measures(book) for name, book in known.items()}
    result = {"measures": [{"connection": n, **row} for n, found in computed.items() for row in engine.document(known[n], found)]}
    chosen = asked.names or list(engine.selected(app.definitions.kpis.kpis))
    findings = [f for n, book in known.items() for f in _lacking(book, chosen, n)] + asked.left_out(chosen)
    text: list[str | Table] = [_verdict(sum(map(len, computed.values())), chosen, list(computed))]
    for n, found in computed.items():
        text += ["", asked.table(found, f"{n}, as of {known[n].as_of:%Y-%m-%d}", known[n])]
    return Answer({"measures": sum(map(len, computed.values())), "connections": len(computed)}, result, text, findings)


def baseline(connection: ConnectionOption = None) -> Answer:
    """What each KPI said at the programme's baseline, 30, 60 and 90 days after it, and says now; up, down or no visible change."""
    from connector.kpis import baseline as programme
    from connector.kpis import compute as engine

    with opened() as app:
        books_ = books(app, app.names(connection), None)
        start = app.definitions.kpis.programme.baseline_on
    if start is None:
        raise InputError("no baseline is set", code="SC-W092", next_step="set programme.baseline_on in mappings/kpis.yaml: 2026-12-01")
    found = {name: programme.progress(book, engine.compute(book, programme.names(book))) for name, book in books_.items()}
    rows = [{"connection": name, **row} for name, lines in found.items() for row in programme.document(lines)]
    seen = [line.later[-1].verdict for lines in found.values() for line in lines]
    changed = f"{count(seen.count('up'), 'value')} up, {seen.count('down')} down, {seen.count('no_visible_change')} without a visible change"
    text: list[str | Table] = [f"since {start}: {changed}" if rows else f"no snapshot on or before {start}: there is nothing to compare with"]
    for name, lines in found.items():
        if lines:
            text += ["", views.progress(lines, f"{name}, as of {books_[name].as_of:%Y-%m-%d}")]
    return Answer({"baseline_on": start, "values": len(rows)}, rows, text)


def leaderboard(connection: ConnectionOption = None, as_of: AsOf = None) -> Answer:
    """Reps by the points of gamification_points, this fiscal quarter. Off unless programme.leaderboard of kpis.yaml is true."""
    from connector.kpis.leaderboard import SETTING, WARNING

    on = f"{SETTING}: true in mappings/kpis.yaml"
    with opened() as app:
        names = app.names(connection)
        if not app.definitions.kpis.programme.leaderboard:
            result = {"on": False, "warning": WARNING, "switch_on": on, "standings": []}
            return Answer({"on": False}, result, ["the leaderboard is off", WARNING, f"{on} switches it on"])
        found = books(app, names, instant(as_of, app))
    standings = {name: _standings(book) for name, book in found.items()}
    rows = [{"connection": name, **row} for name, mine in standings.items() for row in mine]
    ranked = sum(row["rank"] is not None for row in rows)
    text: list[str | Table] = [f"{ranked} of {count(len(rows), 'rep')} ranked", WARNING]
    for name, mine in standings.items():
        text += ["", _board(mine, f"{name}, {found[name].windows.quarter.label}, as of {found[name].as_of:%Y-%m-%d}")]
    findings = [finding for name, book in found.items() for finding in _lacking(book, ["gamification_points"], name)]
    result = {"on": True, "warning": WARNING, "switch_on": on, "standings": rows}
    return Answer({"on": True, "reps": len(rows), "ranked": ranked}, result, text, findings)


def _standings(book: Book) -> list[dict[str, Any]]:
    """Standings with the name of the owner; none where an input lacks."""
    from connector.kpis.leaderboard import leaderboard

    names = dict(book.owners.select("id", "name").iter_rows())
    return [{"name": names.get(standing.owner), **asdict(standing)} for standing in leaderboard(book) or ()]


def _board(standings: Sequence[Mapping[str, Any]], title: str) -> Table:
    parts = list(dict.fromkeys(part for row in standings for part in row["parts"]))
    rows = [
        (row["rank"] or "–", row["name"] or row["owner"], row["points"], *(row["parts"].get(part, 0) for part in parts), row["records"])
        for row in standings
    ]
    return Table((">rank", "rep", ">points", *(f">{part.replace('_', ' ')}" for part in parts), ">records"), rows, title)


@dataclass(frozen=True)
class _Asked:
    """What ``compute`` is asked for: KPIs (None: those switched on), how the company is divided, which rows are printed."""

    names: Sequence[str] | None
    by: Sequence[str]
    only: Mapping[str, str]
    subject: str

    def measures(self, book: Book, otherwise: Sequence[str] | None = None) -> list[Measure]:
        from connector.kpis import compute as engine

        names = self.names or otherwise
        return engine.compute_by(book, self.by, names, self.only) if self.by or self.only else engine.compute(book, names)

    def left_out(self, chosen: Sequence[str]) -> list[Finding]:
        """A warning SC-W092 for KPIs that cannot be divided."""
        from connector.kpis import compute as engine

        whole = engine.indivisible(chosen) if self.by or self.only else []
        said = f"not divided, since more than deals enters them: {', '.join(whole)}"
        return [Finding("SC-W092", said, "warning", next=f"{command()} kpis compute --kpi {whole[0]} shows the slices it has")] if whole else []

    def table(self, found: Sequence[Measure], title: str, book: Book) -> Table:
        return _table(found, "all" if self.by or self.only else self.subject, title, book)


def _dimensions(by: str | None) -> list[str]:
    return [name.strip() for name in by.split(",") if name.strip()] if by else []


def _parts(segments: Sequence[str]) -> dict[str, str]:
    """``K=V`` words as a mapping. Raises UsageError."""
    parts = {}
    for word in segments:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise UsageError(f"--segment {word!r} is not of the form segment=hospital")
        parts[key] = value
    return parts


def _from_file(path: Path, asked: _Asked, as_of: str | None, windows: Sequence[str]) -> Answer:
    from connector.kpis import compute as engine
    from connector.kpis.cards.deal import scorecards
    from connector.kpis.definition import REGISTRY

    book = engine.from_file(path, as_of=as_of, windows=windows)
    chosen = asked.names or list(REGISTRY)
    found = asked.measures(book, chosen)
    cards = {id: card.as_dict() for id, card in scorecards(book).items()}
    result = {"measures": engine.document(book, found), "scorecards": cards}
    text: list[str | Table] = [_verdict(len(found), chosen, [path.name]), "", asked.table(found, f"{path.name}, as of {book.as_of:%Y-%m-%d}", book)]
    findings = [
        Finding(f.code, f.message, "warning", file=f.file, line=f.line, column=f.column, suggestion=f.suggestion) for f in book.inputs.findings
    ]
    return Answer({"measures": len(found), "scorecards": len(cards)}, result, text, findings + asked.left_out(chosen))


def _known(names: Iterable[str]) -> None:
    """Raises UsageError for the first word that names no KPI."""
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            raise UsageError(f"unknown KPI {name!r}" + (f"; did you mean {near[0]}?" if near else ""), next_step=f"{command()} kpis list")


def _verdict(measured: int, chosen: Sequence[str], sources: Sequence[str]) -> str:
    return f"{count(measured, 'value')} of {count(len(chosen), 'KPI')} from {', '.join(sources)}"


def _lacking(book: Book, chosen: Sequence[str], name: str) -> Iterator[Finding]:
    """A warning SC-W092 for each KPI that cannot be computed from what there is."""
    from connector.kpis import compute as engine

    for kpi, able, lacks in engine.computable(book, chosen):
        if not able:
            yield Finding(
                code="SC-W092",
                severity="warning",
                message=f"{kpi} cannot be computed for {name}: needs {lacks}",
                next="add it under mappings, or take the KPI out of kpis.yaml",
            )


def _table(found: Sequence[Measure], subject: str, title: str, book: Book) -> Table:
    currency = book.settings.calendar.currency
    if subject not in ("all", "company"):
        found = [m for m in found if m.subject == subject]
        if not found:
            raise UsageError(f"no value has the subject {subject!r}", next_step="--subject all shows every subject")
        return views.measures(found, currency, subjects=None, title=title)
    return views.measures(found, currency, subjects=None if subject == "all" else "company", title=title)


def _book(app: App, name: str, as_of: datetime | None) -> Book:
    """The book of one connection from the state alone, as of its last pull unless said otherwise."""
    return books(app, [name], as_of)[name]


def books(app: App, names: Sequence[str], as_of: datetime | None, windows: Sequence[str] = ()) -> Mapping[str, Book]:
    """Connection → its book, with ``windows`` beside the usual ones. Raises InputError where nothing was pulled yet."""
    from connector import sync

    made = {}
    for name in names:
        pulled = app.store.runs.last(name, kinds=("pull",))
        if pulled is None:
            raise InputError(f"nothing was pulled from {name} yet", code="SC-E184", next_step="connector sync --pull-only")
        at = as_of or datetime.fromisoformat(str((pulled.summary or {}).get("as_of", pulled.started_at.isoformat())))
        made[name] = sync.book(app.mapped(name), app.store, app.definitions, at, windows)
    return made
