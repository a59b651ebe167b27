"""connector mapping check | show | schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import ConnectionOption, opened
from connector.errors import CrmConfigError, MissingScope, UsageError

if TYPE_CHECKING:
    from connector.app import App
    from connector.crms.base import Field, Rule
    from connector.errors import Finding


def check(
    live: Annotated[bool, typer.Option("--live", help="also against the CRM: fields, stages, rights")] = False,
    drift: Annotated[bool, typer.Option("--drift", help="what of the CRM's schema differs from what was accepted; changes nothing")] = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="with --drift: exit 2 when something differs")] = False,
    connection: ConnectionOption = None,
) -> Answer:
    """Check the mapping files: every problem with file:line:column, what was found, what was meant, the next step."""
    if detailed_exitcode and not drift:
        raise UsageError("--detailed-exitcode goes with --drift")
    with opened() as app:
        findings = list(app.mapping_findings())
        names = app.names(connection)
        if drift:
            return _drift(app, names, 2 if detailed_exitcode else 0)
        if live:
            for name in names:
                findings += live_findings(app, name)
        version = app.mappings.version
    errors = [f for f in findings if f.severity == "error"]
    against = f"agree with {', '.join(names)}" if live else "are valid; --live asks the CRM too"
    warned = len(findings) - len(errors)
    verdict = f"{count(len(errors), 'problem')}, {count(warned, 'warning')}" if errors else f"the mappings {against} · version {version}"
    verdict += f" · {count(warned, 'warning')}" if warned and not errors else ""
    summary: dict[str, object] = {"problems": len(errors), "warnings": len(findings) - len(errors), "version": version}
    return Answer(summary, [asdict(f) for f in findings], [verdict], findings, 4 if errors else 0)


def _drift(app: App, names: Sequence[str], differing: int) -> Answer:
    """The literal differences, nothing accepted by looking. ``differing``: exit code where there are some."""
    findings: list[Finding] = []
    unknown = [name for name in names if not app.store.schemas.read(name)]
    for name in names:
        findings += [] if name in unknown else look(app, name)[0]
    said = f"{count(len(findings), 'difference')} from the accepted schema" if findings else "the schema is as it was accepted"
    said += f" · nothing accepted yet for {', '.join(unknown)}: connector sync, or connector discover" if unknown else ""
    errors = any(f.severity == "error" for f in findings)
    return Answer({"differences": len(findings)}, [asdict(f) for f in findings], [said], findings, 4 if errors else differing if findings else 0)


def look(app: App, name: str) -> tuple[list[Finding], dict[str, Mapping[str, Any]]]:
    """How one connection's CRM differs from what was accepted and what can no longer be read because of it; and its schema as it is now."""
    from connector import watch

    with app.connected(name) as connected:
        specs = connected.mapper.streams()
        seen = watch.schema(connected, app.store, specs)
        stages = watch.stages(connected.mapped, app.store, connected.crm.pipelines())
    broken = [finding for error in seen.broken.values() for finding in (error.findings or (error.finding(),))]
    return [*dict.fromkeys(broken), *seen.findings, *stages.findings], {**seen.now, **stages.now}


def live_findings(app: App, name: str) -> list[Finding]:
    """What the live CRM says of one connection's mapping. An object that it does not show breaks what is mapped of it, not the check."""
    from connector.mapping.check import check_live, objects, unasked
    from connector.mapping.drift import asked
    from connector.mapping.uses import field_uses

    with app.connected(name) as connected:
        mapping, specs = connected.mapped.mapping, connected.mapper.streams()
        schema: dict[str, Mapping[str, Field]] = {}
        refused: list[Finding] = []
        for object in dict.fromkeys((*objects(mapping), *(one.object for one in asked(mapping, specs)))):
            try:
                schema[object] = connected.crm.discover(object)
            except CrmConfigError:
                continue  # said field by field, at its place
            except MissingScope as error:
                refused.append(error.finding())
        found = check_live(mapping, app.mappings.ladder, schema, connected.crm.pipelines())
        written = dict.fromkeys(use.object for use in field_uses(mapping) if use.role == "scorecard" and use.object in schema)
        ruled = [rule_finding(name, object, rule) for object in written for rule in connected.crm.rules(object)]
        return [*dict.fromkeys(refused), *found, *unasked(mapping, specs, schema), *ruled]


def rule_finding(connection: str, object: str, rule: Rule) -> Finding:
    """SC-W155: what the CRM's administrator demands of values, before a push is refused for it."""
    from connector.errors import CODES, Finding

    said = f"{connection}: the rule {rule.text} on {object}.{rule.field} may refuse scorecard values"
    return Finding(code="SC-W155", severity="warning", message=said, next=CODES["SC-W155"].next_step)


def show(connection: ConnectionOption = None) -> Answer:
    """The stage map as the connector reads it: native pipeline and stage → canonical stage and its class."""
    with opened() as app:
        tables = [stage_map(app, name) for name in app.names(connection)]
    rows = [dict(zip(t.heads, row, strict=True)) for t in tables for row in t.rows]
    text: list[str | Table] = [f"{count(len(rows), 'stage')} mapped in {count(len(tables), 'connection')}"]
    for table in tables:
        text += ["", table]
    return Answer({"stages": len(rows)}, rows, text)


def stage_map(app: App, name: str) -> Table:
    """The table of one connection: pipeline, stage as the CRM has it (and as its users read it), canonical stage, class, deals in it now."""
    from connector.mapping.drift import stage_labels

    mapping, ladder = app.mapping(name), app.mappings.ladder
    labels = stage_labels(app.store.schemas.read(name))
    counts: dict[tuple[str | None, str | None], int] = {}
    for _, pipeline, stage in app.store.deal_stages(name):
        counts[pipeline, stage] = counts.get((pipeline, stage), 0) + 1
    rows = []
    for native, pipeline in mapping.pipeline_names.items():
        stages = mapping.stages[pipeline]
        for word, entries in (("", stages.live), ("retired", stages.retired)):
            for stage, key in entries.items():
                label = labels.get((native, stage), stage)
                shown = stage if label == stage else f"{label} ({stage})"
                rows.append((f"{pipeline} ({native})", shown, ladder.label(key), ladder.stage_class(key), word, counts.get((native, stage), "")))
    return Table((f"{name}: pipeline", "stage in the CRM", "canonical stage", "class", "", ">deals"), rows)


def schema(out: Annotated[Path | None, typer.Option(help="directory; default: mappings/.schema of the project")] = None) -> Answer:
    """Write JSON Schemas, so that an editor completes keys and canonical names."""
    import orjson

    from connector.mapping.schema import json_schemas

    out = out or invocation().project / "mappings" / ".schema"
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in json_schemas().items():
        path = out / f"{name}.schema.json"
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        written.append(str(path))
    return Answer({"files": len(written)}, written, [f"wrote {path}" for path in written])
