"""connector check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from connector import __version__
from connector.cli.mapping import live_findings
from connector.cli.output import Answer, Table, count
from connector.cli.project import ConnectionOption, opened
from connector.errors import CODES, ConnectorError, Finding, worst

if TYPE_CHECKING:
    from connector.app import App
    from connector.crms.base import OrgInfo
    from connector.kpis.book.book import Book


@dataclass(frozen=True, slots=True)
class Check:
    """One line: ok, warn, FAIL or skip; what was looked at; what was seen."""

    state: str
    area: str
    said: str
    findings: tuple[Finding, ...] = ()
    exit_code: int = 0


def check(
    connection: ConnectionOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="files and state only")] = False,
    origins: Annotated[bool, typer.Option("--origins", help="where each setting comes from")] = False,
) -> Answer:
    """Check settings, mappings, state, and each connection: credentials, fields, stages, rights. All checks run even after one fails."""
    with opened() as app:
        done = list(_checks(app, connection, offline))
        set_by = [(key, origin) for key, origin in sorted(app.resolved.origins.items())] if origins else []
        project = app.resolved.settings.project.name
    failed, warned = sum(c.state == "FAIL" for c in done), sum(c.state == "warn" for c in done)
    said = f"{count(failed, 'check')} failed, {count(warned, 'warning')}" if failed or warned else "every check passed"
    text: list[str | Table] = [f"connector {__version__} · project {project} · {said}", ""]
    text.append(Table(("", "area", ""), [(c.state, c.area, c.said) for c in done]))
    if set_by:
        text += ["", Table(("setting", "set by"), set_by)]
    findings = [f for c in done for f in c.findings]
    if findings:
        text.append("")
    result = {"checks": [asdict(c) for c in done], "origins": dict(set_by)}
    return Answer({"failed": failed, "warnings": warned}, result, text, findings, worst(c.exit_code for c in done))


def _checks(app: App, connection: str | None, offline: bool) -> Iterator[Check]:
    names = app.names(connection)
    yield Check("ok", "settings", f"connector.toml is valid · {count(len(names), 'connection')} · {len(app.resolved.origins)} values set")
    mappings = _tried("mappings", lambda: f"the files are valid · version {app.mappings.version}")
    yield mappings
    if mappings.state == "ok":
        for finding in app.mapping_findings():
            yield Check("warn", "mappings", f"{finding.code}  {finding.message}", (finding,))
    yield _tried("state", lambda: _state(app))
    if mappings.state == "ok":
        yield from _kpis(app, names)
    if offline or mappings.state != "ok":
        yield Check("skip", "connections", "not asked for" if offline else "the mappings must be valid first")
        return
    for name in names:
        yield from _connection(app, name)


def _state(app: App) -> str:
    deals = ", ".join(f"{name} {count(app.store.counts(name)['opportunities'], 'deal')}" for name in app.names())
    return f"{app.resolved.settings.project.state_dir}/connector.db · schema current · {deals}"


def _kpis(app: App, names: Sequence[str]) -> Iterator[Check]:
    """Per connection the KPIs switched on that what there is does not allow."""
    from connector.cli import kpis
    from connector.kpis import compute

    chosen = compute.selected(app.definitions.kpis.kpis)
    for name in names:
        area = f"{name} kpis"
        if app.store.runs.last(name, kinds=("pull",)) is None:
            yield Check("skip", area, "nothing was pulled yet: connector sync")
            continue
        book = kpis.books(app, [name], None)[name]
        yield from _inputs(book, name)
        lacking = [(kpi, lacks) for kpi, able, lacks in compute.computable(book, chosen) if not able]
        if lacking:
            said = ", ".join(f"{kpi} (needs {lacks})" for kpi, lacks in lacking)
            yield Check("skip", area, f"{len(lacking)} of {len(chosen)} not computable: {said}")
        else:
            yield Check("ok", area, f"all {len(chosen)} that are switched on can be computed")


def _inputs(book: Book, name: str) -> Iterator[Check]:
    """Inputs against the records of a connection, and the ledger against its deals, quarter by quarter."""
    from connector.kpis.inputs import checks as input_checks

    for finding in input_checks.against(book):
        failed = finding.severity == "error"
        said = f"{finding.code}  {finding.file}: {finding.message}"
        yield Check("FAIL" if failed else "warn", f"{name} inputs", said, (finding,), 4 if failed else 0)
    for quarter, ledger, crm in input_checks.new_arr_twice(book):
        currency = book.settings.calendar.currency
        if round(ledger, 2) != round(crm, 2):
            said = f"{quarter}: new ARR {ledger:,.2f} {currency} in arr_ledger.csv, {crm:,.2f} in the deals won"
            yield Check("warn", f"{name} inputs", f"SC-W098  {said}", (Finding("SC-W098", said, "warning", file="inputs/arr_ledger.csv"),))


def _connection(app: App, name: str) -> Iterator[Check]:
    seen: list[OrgInfo] = []

    def prove() -> str:
        with app.connected(name) as connected:
            info = connected.crm.check()
            app.store.remember_org(name, info.org_id, info.time_zone)
        seen.append(info)
        return f"{info.name} ({info.org_id}) · API {info.api_version} · user {info.user_id} · {info.time_zone}, {info.currency}"

    proven = _tried(name, prove)
    yield proven
    if proven.state != "ok":
        yield Check("skip", f"{name} mapping", "the connection must answer first")
        return
    yield _budget(app, name, seen[0])
    yield _calendar(app, name, seen[0])
    found: list[Finding] = []

    def look() -> str:
        found.extend(live_findings(app, name))
        return "fields, stages and rights agree with the CRM, as the connection's user sees it"

    looked = _tried(f"{name} mapping", look)
    if looked.state == "FAIL" or not any(f.severity == "error" for f in found):
        yield looked
    for finding in found:
        failed = finding.severity == "error"
        yield Check("FAIL" if failed else "warn", f"{name} mapping", f"{finding.code}  {finding.message}", (finding,), 4 if failed else 0)


def _budget(app: App, name: str, info: OrgInfo) -> Check:
    """The account's day: ours over all connections that lead to it, and the CRM's own gauge."""
    from connector.crms.base import Meter

    budget, area = app.budget(name, Meter(allocation_used=info.calls_used, allocation_max=info.calls_max)), f"{name} budget"
    if budget.left:
        return Check("ok", area, budget.text())
    finding = Finding(code="SC-E078", severity="warning", message=f"{name}: {budget.text()}; pulls wait", next="wait, or raise limits.daily_calls")
    return Check("warn", area, budget.text(), (finding,))


def _calendar(app: App, name: str, info: OrgInfo) -> Check:
    """KPIs follow mappings/kpis.yaml; where the CRM counts otherwise, its own reports will show other quarters and sums."""
    ours, area = app.mappings.kpis.calendar, f"{name} calendar"
    differs = []
    if info.fiscal_year_starts not in (None, ours.fiscal_year_starts):
        differs.append(f"the fiscal year starts in month {info.fiscal_year_starts} in the CRM, {ours.fiscal_year_starts} in kpis.yaml")
    if info.currency and info.currency != ours.currency:
        differs.append(f"the CRM's currency is {info.currency}, the reporting currency {ours.currency}: its exchange rates do not serve")
    if not differs:
        return Check("ok", area, f"fiscal year from month {ours.fiscal_year_starts}, {ours.currency}, {ours.time_zone}")
    said = "; ".join(differs)
    return Check(
        "warn", area, f"SC-W038  {said}", (Finding(code="SC-W038", severity="warning", message=f"{name}: {said}", next=CODES["SC-W038"].next_step),)
    )


def _tried(area: str, look: Callable[[], str]) -> Check:
    try:
        return Check("ok", area, look())
    except ConnectorError as error:
        return Check("FAIL", area, f"{error.code}  {error.message}", (*error.findings, error.finding()), error.exit_code)
