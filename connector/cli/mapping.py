"""connector mapping check | show | schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import ConnectionOption, opened

if TYPE_CHECKING:
    from connector.app import App
    from connector.crms.base import Field
    from connector.errors import Finding


def check(
    live: Annotated[bool, typer.Option("--live", help="also against the CRM: fields, stages, rights")] = False,
    connection: ConnectionOption = None,
) -> Answer:
    """Check the mapping files: every problem with file:line:column, what was found, what was meant, the next step."""
    with opened() as app:
        findings = list(app.mapping_findings())
        names = app.names(connection)
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


def live_findings(app: App, name: str) -> list[Finding]:
    """What the live CRM says of one connection's mapping."""
    from connector.mapping.check import check_live, objects

    with app.connected(name) as connected:
        mapping = connected.mapped.mapping
        schema: Mapping[str, Mapping[str, Field]] = {o: connected.crm.discover(o) for o in objects(mapping)}
        return check_live(mapping, app.mappings.ladder, schema, connected.crm.pipelines())


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
    """The table of one connection: pipeline, stage as the CRM has it, canonical stage, class, deals in it now."""
    mapping, ladder = app.mapping(name), app.mappings.ladder
    counts: dict[tuple[str | None, str | None], int] = {}
    for _, pipeline, stage in app.store.deal_stages(name):
        counts[pipeline, stage] = counts.get((pipeline, stage), 0) + 1
    rows = []
    for native, pipeline in mapping.pipeline_names.items():
        stages = mapping.stages[pipeline]
        for word, entries in (("", stages.live), ("retired", stages.retired)):
            for stage, key in entries.items():
                rows.append((f"{pipeline} ({native})", stage, ladder.label(key), ladder.stage_class(key), word, counts.get((native, stage), "")))
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
