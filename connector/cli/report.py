"""connector report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from connector.cli import kpis
from connector.cli.output import Answer, count
from connector.cli.project import AsOf, ConnectionOption, instant, opened
from connector.errors import Finding, InputError, UsageError

if TYPE_CHECKING:
    from connector.app import App
    from connector.kpis.book.book import Book
    from connector.report.content import Report

Format = Literal["html", "json", "csv", "parquet"]


@dataclass(frozen=True, slots=True)
class _Source:
    """What one file is made of. ``names``: deal → its name, as far as names may be shown."""

    project: str
    connection: str
    book: Book
    names: Mapping[str, str]


def report(
    out: Annotated[Path, typer.Option("--out", help="the directory that the files go to")] = Path("reports"),
    format: Annotated[Format, typer.Option(help="html: the review to be read; the others: its measures, and the scrub list, as data")] = "html",
    connection: ConnectionOption = None,
    as_of: AsOf = None,
    from_file: Annotated[Path | None, typer.Option("--from-file", help="a book in a JSON file: no CRM, no state")] = None,
) -> Answer:
    """The weekly review, one file per connection: the numbers of the week, funnel, time in stage, gates, win rates, scrub, data health."""
    if from_file is not None:
        if as_of is not None:
            raise UsageError("--as-of and --from-file exclude each other: a book file has its own as_of")
        sources = [_from_file(from_file)]
    else:
        with opened() as app:
            sources = list(_from_state(app, connection, as_of))
            for source in sources:
                app.store.audit.add("report.exported", source.connection, {"format": format, "to": str(out), "as_of": str(source.book.today)})
    text, files, findings = [], list[dict[str, object]](), list[Finding]()
    for source in sources:
        made, paths = _written(source, out, format)
        text += [f"{source.connection}, as of {source.book.today}: {made.verdict}", *(f"  {path}" for path in paths)]
        files.append({"connection": source.connection, "as_of": source.book.as_of, "files": paths, "verdict": made.verdict})
        findings += _lacking(source)
    verdict = f"{count(sum(len(_paths(f)) for f in files), 'file')} of the weekly review in {out}"
    return Answer({"format": format, "connections": len(files), "files": sum(len(_paths(f)) for f in files)}, files, [verdict, "", *text], findings)


def _paths(row: Mapping[str, object]) -> list[object]:
    found = row["files"]
    assert isinstance(found, list)
    return found


def _from_file(path: Path) -> _Source:
    from connector.kpis import compute

    book = compute.from_file(path)
    names = {id: name for id, name in book.deals.select("id", "name").iter_rows() if name}
    return _Source(path.stem, path.stem, book, names)


def _from_state(app: App, connection: str | None, as_of: str | None) -> Iterator[_Source]:
    shown = app.resolved.settings.privacy.names
    names = app.names(connection)
    for name, book in kpis.books(app, names, instant(as_of, app)).items():
        called = {id: seen.name for id, seen in app.store.observed(name).items() if seen.name} if shown else {}
        yield _Source(app.resolved.settings.project.name, name, book, called)


def _written(source: _Source, out: Path, format: Format) -> tuple[Report, list[Path]]:
    """The files of one connection. Raises InputError where the directory cannot be written."""
    from connector.report import export, sections

    made = sections.report(source.book, source.project, source.connection, deal_names=source.names)
    stem = out / f"{source.connection}-{source.book.today}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if format == "html":
            from connector.report import page

            path = stem.with_name(f"{stem.name}.html")
            path.write_text(page.render(made), encoding="utf-8")
            return made, [path]
        return made, export.write(stem, format, source.book, source.connection, sections.measures(source.book), made.scrub)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}", next_step="--out names a directory that can be written") from error


def _lacking(source: _Source) -> Iterator[Finding]:
    """A warning SC-W092 for each KPI of the page that cannot be computed from what there is."""
    from connector.kpis import compute
    from connector.report.sections import SHOWN

    for kpi, able, lacks in compute.computable(source.book, SHOWN):
        if not able:
            yield Finding(
                "SC-W092", f"{kpi} cannot be computed for {source.connection}: needs {lacks}", "warning", next="the page says how to add it"
            )
